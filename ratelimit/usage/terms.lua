-- The terms of an organization, replaced if they are still what the caller read.
-- KEYS[1] the hash; ARGV: organization, what was read, what it becomes, a word that
-- no other change has.
local has = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if has ~= ARGV[2] then
	return has
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], '|changed', ARGV[4])
return ARGV[3]

-- Writes a page of an outbox unless somebody else changed it since it was read. Returns the
-- page that is there instead, '' if none is.
-- KEYS[1] the hash; ARGV: the field, what was read ('' for nothing), what to write.
local is = redis.call('HGET', KEYS[1], ARGV[1])
if is and is ~= ARGV[2] and is ~= ARGV[3] then
	return is
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ''

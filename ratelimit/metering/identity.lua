-- Keeps the first id that anybody has.
-- KEYS[1] the hash; ARGV: the id of who asks.
local id = redis.call('HGET', KEYS[1], 'ledger')
if not id then
	redis.call('HSET', KEYS[1], 'ledger', ARGV[1])
	id = ARGV[1]
end
return id

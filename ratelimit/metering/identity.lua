-- Keeps the first id that anybody has, and when that was.
-- KEYS[1] the hash; ARGV: the id of who asks.
-- The answer: the id, and how many microseconds ago it was stored; -1 if that is not known:
-- an older build stored it, or the clock was set back since.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local found = redis.call('HMGET', KEYS[1], 'ledger', 'since')
local id, since = found[1], found[2]
if not id then
	id, since = ARGV[1], string.format('%.0f', now)
	redis.call('HSET', KEYS[1], 'ledger', id, 'since', since)
end
local age = since and now - tonumber(since) or -1
if age < 0 then age = -1 end
return { id, string.format('%.0f', age) }

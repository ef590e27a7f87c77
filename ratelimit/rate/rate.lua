-- Takes tokens of one bucket for a gateway to hand out.
-- KEYS[1] the theoretical arrival time, in microseconds. ARGV: the interval of tokens
-- and the capacity of the bucket, both in microseconds, how many are wanted, and how
-- many gateways there are: each gets its part of what is left at most, so that one does
-- not hold all of a burst that another is asked for. A negative number gives tokens
-- back, which a request took that was refused then.
-- The answer: tokens that were taken; microseconds until there is one, 0 if there was;
-- microseconds until the bucket is full; tokens left.
local interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local want, gateways = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local free = math.floor((capacity - (at - now)) / interval + 0.000001)
local given = want
if want > 0 then
	given = math.min(want, math.max(math.min(free, 1), math.floor(free / gateways)))
end
if given == 0 then
	return {0, math.ceil(at + interval - now - capacity), math.ceil(at - now), 0}
end
at = math.max(at + given * interval, now)
redis.call('SET', KEYS[1], string.format('%.3f', at), 'PX', math.ceil((at - now) / 1000) + 1)
return {given, 0, math.ceil(at - now), math.floor((capacity - (at - now)) / interval + 0.000001)}

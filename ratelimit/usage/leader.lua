-- Who sends to a service, and until when.
-- KEYS[1] the hash of all; ARGV: service, gateway, for how many seconds.
local time = redis.call('TIME')
local now = tonumber(time[1])
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
	local holder, till = string.match(found, '^(.*)|(%d+)$')
	if holder ~= ARGV[2] and tonumber(till) > now then
		return holder
	end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '|' .. string.format('%.0f', now + tonumber(ARGV[3])))
return ARGV[2]

-- Gives up the turn to send to a service, so that another gateway need not wait.
-- KEYS[1] the hash of all; ARGV: service, gateway.
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found and string.match(found, '^(.*)|%d+$') == ARGV[2] then
	redis.call('HDEL', KEYS[1], ARGV[1])
end
return ARGV[2]

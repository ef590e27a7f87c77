-- Puts an override in force, unless the hash has it or a newer one.
-- KEYS[1] the hash of the overrides, which has for each organization the limit, or
-- `default` for the configured one, and as |ORGANIZATION its version. The field | keeps
-- the hash from being missing: one that is missing was lost.
-- The request (prelude.lua): organization, limit, version.
-- The answer: the limit that is in force then; '' if none ever was. (A build that keeps no
-- versions changes the limit alone.)
local organization = request.organization
local found = redis.call('HMGET', KEYS[1], organization, '|' .. organization)
local limit = found[1] or ''
if tonumber(request.version) > tonumber(found[2] or '0') then
	limit = request.limit
	redis.call('HSET', KEYS[1], '|', '', organization, limit, '|' .. organization, request.version)
end
return { limit }

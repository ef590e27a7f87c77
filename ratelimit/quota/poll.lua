-- The epoch of a shard, which windows of a holder are reclaimed, and what others hold of
-- them. Reads only.
-- The request (prelude.lua): holder, a window for each of its grants, and
--   peers         other holders, each followed by a |; '' to learn of none
-- The answer: the epoch, '' if nobody has claimed since the server started; how many
-- holders have joined and not left; then for each window 1 if another holder is starved,
-- 0 if none is; its grace as claim.lua answers it; units granted to all; and for each of
-- the peers its grant as claim.lua stores it, '' if it has none.
local stored = redis.call('HMGET', KEYS[1], '_run', '_id', '_m')
local epoch = ''
if stored[1] == server and stored[2] then
	epoch = stored[2] .. ':' .. server
end
local answer = { epoch, stored[3] or '0' }
for _, window in ipairs(windows) do
	local fields = { 'n|' .. window, 'y|' .. window, 's|' .. window }
	for peer in string.gmatch(request.peers or '', '([^|]+)|') do
		fields[#fields + 1] = 'g|' .. window .. '|' .. peer
	end
	local found = redis.call('HMGET', KEYS[1], unpack(fields))
	local reclaim = 0
	if found[1] then
		local at, starved = string.match(found[1], '^(%d+)|(.*)$')
		local since = now - tonumber(at) -- negative: the clock was set back
		if starved ~= request.holder and since >= 0 and since < RECLAIM_FOR then reclaim = 1 end
	end
	local grace = ''
	if found[2] then
		local limit, age, name, at = string.match(found[2], '^(%d+)|(%d+)|(%d+)|(%d+)$')
		grace = limit .. '|' .. string.format('%.0f', tonumber(age) + math.max(0, now - tonumber(at))) .. '|' .. name
	end
	answer[#answer + 1] = reclaim
	answer[#answer + 1] = grace
	answer[#answer + 1] = found[3] or '0'
	for i = 4, #fields do
		answer[#answer + 1] = found[i] or ''
	end
end
return answer

-- The epoch of a shard, and which windows of a holder are reclaimed. Reads only.
-- The request (prelude.lua): holder, and a window for each of its grants.
-- The answer: the epoch, '' if nobody has claimed since the server started; then for
-- each window 1 if another holder is starved, 0 if none is.
local stored = redis.call('HMGET', KEYS[1], '_run', '_id')
local epoch = ''
if stored[1] == server and stored[2] then
	epoch = stored[2] .. ':' .. server
end
local answer = { epoch }
for _, window in ipairs(windows) do
	local reclaim = 0
	local found = redis.call('HGET', KEYS[1], 'n|' .. window)
	if found then
		local at, starved = string.match(found, '^(%d+)|(.*)$')
		local since = now - tonumber(at) -- negative: the clock was set back
		if starved ~= request.holder and since >= 0 and since < RECLAIM_FOR then reclaim = 1 end
	end
	answer[#answer + 1] = reclaim
end
return answer

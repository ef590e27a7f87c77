-- A claim on the grants of one window, or, without a window, a holder that joins or
-- leaves the epoch of a shard.
-- The request (prelude.lua) of a claim:
--   holder        the instance of a ledger
--   organization  and window, which is PERIOD|ORGANIZATION
--   limit         of the period, as configured
--   number        orders the claims of a holder
--   holds, wants  units that the holder has, and would like to have, in all
--   starved       1: it has none left
--   holders       how many gateways there are
--   history       1: this process has seen the hash, so that an empty one has lost grants
--   grace         the grace that the holder knows of: LIMIT|AGE|ID, the age in
--                 microseconds; '' if it knows none
-- The request of a holder that joins or leaves: holder, history, and
--   change        join or leave
--   settled       the epoch in which it claimed, '' if it holds nothing
-- The request of both, of the latest epoch that the holder has seen:
--   epoch         itself; '' if it knows of none
--   heard         for how many microseconds the holder has known of it, and
--   silent        for how many no server has spoken of it: by a clock that nobody sets
-- The answer: units granted to the holder, units granted to all, the limit in force,
-- 1 if a starved holder got nothing and nothing is left since, 1 if what is not used is
-- reclaimed, the epoch, 1 while the holder is granted nothing although something may be
-- left, the number of the holder's latest claim, the grace as in the request, and 1 if the
-- holder has not joined the epoch, or left it. No answer has an instant: the clocks of
-- two machines are not compared.
-- Numbers are decimal texts, but for those that are 0 or 1.
local WAIT_NEW = 2000000 -- microseconds without grants in a hash that is new
local WAIT_HOLDERS = 15000000 -- at most, while holders have not joined; also until a server that is silent is given up
local WAIT_MEMBER = 2000000 -- of a holder, after it became a member
local GRACE_SLACK = 1000000 -- graceSlack in authority.go
local NO_LIMIT = 9007199254740992 -- noLimit in holdings.go: the claim only gives back

local holder, change, settled = request.holder, request.change or '', request.settled or ''
local organization, window = request.organization or '', windows[1] or '|'

local found = redis.call('HMGET', KEYS[1], '_run', '_id', '_learn', '_hold', '_m', '_a',
	'a|' .. holder, 'b|' .. holder, 'g|' .. window .. '|' .. holder,
	's|' .. window, 'x|' .. window, 'n|' .. window, 'l|' .. organization, 'y|' .. window, '_wait')
local stored = {
	server = found[1], -- of the epoch
	id = tonumber(found[2] or '0'), -- of the epoch: a server that grants later has a higher one
	recover_until = tonumber(found[3] or '0'), -- for builds that have no wait
	hold_until = tonumber(found[4] or '0'), -- the same
	members = tonumber(found[5] or '0'), -- holders that joined and have not left
	joined = tonumber(found[6] or '0'), -- those of them that joined this epoch
	server_of_holder = found[7] or '', -- the server whose epoch it joined; '' if it left
	first_joined = tonumber(found[8] or '0'), -- when the holder became a member
	grant = found[9], -- GRANTED:NUMBER of the holder
	total = tonumber(found[10] or '0'),
	exhausted_at = tonumber(found[11] or '0'),
	starved = found[12], -- WHEN|HOLDER that last got nothing
	override = found[13],
	grace = found[14], -- LIMIT|AGE|ID|WHEN it had that age; older data has x without it
	wait = found[15], -- ID|WHOM|MICROSECONDS: for how long the epoch of ID waits for members, all, or nobody
}

local set = {}
local function put(field, value)
	if type(value) == 'number' then
		value = string.format('%.0f', value)
	end
	set[#set + 1] = field
	set[#set + 1] = value
end

-- A server that starts, or takes over, may have lost grants: none are made until all
-- holders have said what they have.
local id, recover_until, hold_until = stored.id, stored.recover_until, stored.hold_until
local members, joined = stored.members, stored.joined
local wait_id, wait_for, wait = string.match(stored.wait or '', '^(%d+)|(%a+)|(%d+)$')
wait = tonumber(wait or '0')
local seen = request.epoch or ''
local seen_id, seen_server = string.match(seen, '^(%d+):(.*)$')
seen_id = tonumber(seen_id or '0')
-- A holder that has seen a later epoch of this same server tells that the server was
-- emptied, or set to an older copy, and somebody who did not know that one has asked first
-- while the clock is behind. The later epoch of another server may be that of the one that
-- took its place: only if that is not heard of any more, it is this one that has lost all.
local lost = seen_id > id and (seen_server == server or tonumber(request.silent or '0') >= WAIT_HOLDERS)
if stored.server ~= server or lost then
	if stored.server and not lost then
		recover_until = now + WAIT_HOLDERS
		wait_for, wait = wait_for == 'all' and 'all' or 'members', WAIT_HOLDERS
	else
		wait_for, wait = 'all', (lost or request.history == '1') and WAIT_HOLDERS or WAIT_NEW -- nobody knows the holders
		hold_until = now + wait
	end
	-- Later than any that the holder has seen, whatever the clock says, and another number
	-- than that of an epoch that only others have seen.
	joined, id = 0, math.max(now, math.max(id, seen_id) + 1 + now % 1000000)
	put('_run', server)
	put('_hold', hold_until)
	put('_id', id)
elseif tonumber(wait_id or '0') ~= id then -- a build without it began the epoch
	wait_for, wait = 'nobody', WAIT_HOLDERS
	if hold_until > now then
		wait_for = 'all'
	elseif recover_until > now then
		wait_for = 'members'
	end
end
local epoch = string.format('%.0f', id) .. ':' .. server

if settled ~= '' and settled ~= epoch then
	change = '' -- the holder has told another server what it holds
end
local server_of_holder, first_joined = stored.server_of_holder, stored.first_joined
if change == 'join' and server_of_holder ~= server then
	if server_of_holder == '' then
		members, first_joined = members + 1, now
		put('b|' .. holder, first_joined)
	end
	joined, server_of_holder = joined + 1, server
	put('a|' .. holder, server)
elseif change == 'leave' and server_of_holder ~= '' then
	members = members - 1
	if server_of_holder == server then joined = joined - 1 end
	server_of_holder = ''
	put('a|' .. holder, '')
end
-- A holder that knows of another epoch tells that a hash which seems new was lost.
if wait_for == 'all' and wait < WAIT_HOLDERS and seen ~= epoch and (seen ~= '' or request.history == '1') then
	wait, hold_until = WAIT_HOLDERS, now + WAIT_HOLDERS
end
-- The waits end by the clocks of holders that nobody sets, whatever the server's clock
-- says. Builds without _wait go by instants: for them, what the clock was set back by
-- does not prolong a wait.
if wait_for == 'members' and joined >= members
	or wait_for ~= 'nobody' and request.epoch == epoch and tonumber(request.heard or '0') >= wait then
	wait_for, recover_until, hold_until = 'nobody', 0, 0
end
put('_wait', string.format('%.0f|', id) .. wait_for .. string.format('|%.0f', wait))
recover_until = math.min(recover_until, now + WAIT_HOLDERS)
hold_until = math.min(hold_until, now + WAIT_HOLDERS)
if hold_until ~= stored.hold_until then put('_hold', hold_until) end
if first_joined > now then -- the clock was set back: it has been a member since it heard of the epoch, about
	first_joined = now - (seen == epoch and math.min(tonumber(request.heard or '0'), WAIT_MEMBER) or 0)
	put('b|' .. holder, first_joined)
end
put('_learn', recover_until)
put('_m', members)
put('_a', joined)
-- A replica that takes over may lack the last writes. A grant that is lost must not be
-- lost together with the name of its holder: only members for a while get any.
local grants = wait_for == 'nobody' and server_of_holder == server and now - first_joined >= WAIT_MEMBER
local nothing_left = false -- as all holders have said; then nobody waits for grants

local granted, total, limit, exhausted_at, reclaim = 0, 0, tonumber(request.limit or '0'), 0, 0
local last, grace, grace_limit, grace_age, grace_id = 0, '', nil, 0, ''
if organization ~= '' then
	local number = tonumber(request.number)
	if stored.grant then
		local before, at = string.match(stored.grant, '^(%d+):(%d+)$')
		granted, last = tonumber(before), tonumber(at)
	end
	total, exhausted_at = stored.total, stored.exhausted_at
	limit = tonumber(stored.override or limit)
	-- The grace is an age that grows from claim to claim: if the clock is set back, it
	-- stands still until the next one at most.
	if stored.grace then
		local began_under, age, name, at = string.match(stored.grace, '^(%d+)|(%d+)|(%d+)|(%d+)$')
		grace_limit, grace_id = tonumber(began_under), name
		grace_age = tonumber(age) + math.max(0, now - tonumber(at))
	elseif exhausted_at ~= 0 and limit < NO_LIMIT then -- written by a build that kept no graces
		grace_limit, grace_id = limit, string.format('%.0f', exhausted_at)
		grace_age = math.max(0, now - exhausted_at)
	end
	local known_limit, known_age, known_id = string.match(request.grace or '', '^(%d+)|(%d+)|(%d+)$')
	known_limit, known_age = tonumber(known_limit or ''), tonumber(known_age or '')
	if known_limit and (not grace_limit or known_limit > grace_limit
		or known_limit == grace_limit and known_age > grace_age + GRACE_SLACK) then
		grace_limit, grace_age, grace_id = known_limit, known_age, known_id
	end
	local starved_at, starved_holder = 0, ''
	if stored.starved then
		starved_at, starved_holder = string.match(stored.starved, '^(%d+)|(.*)$')
		starved_at = tonumber(starved_at)
	end
	if number > last then
		local holds, wants, holders = tonumber(request.holds), tonumber(request.wants), tonumber(request.holders)
		total = total + holds - granted
		granted = holds
		nothing_left = wait_for == 'nobody' and total >= limit
		if wants > granted and (grants or nothing_left) then
			local left = limit - total
			local part = math.max(1, math.floor(left / (2 * math.max(1, holders))))
			local given = math.max(0, math.min(wants - granted, part, left))
			granted, total = granted + given, total + given
			if given > 0 then
				exhausted_at = 0
				if starved_holder == holder then starved_at = 0 end
			elseif request.starved == '1' then
				starved_at, starved_holder = now, holder
				-- Under a higher limit of which nothing was left ever, the grace goes on.
				if not grace_limit or limit > grace_limit and exhausted_at == 0 then
					grace_limit, grace_age, grace_id = limit, 0, string.format('%.0f', now)
				end
				if exhausted_at == 0 then exhausted_at = now end
			end
			put('n|' .. window, string.format('%.0f', starved_at) .. '|' .. starved_holder)
		end
		if limit < NO_LIMIT and total < limit then exhausted_at = 0 end
		last = number
		put('g|' .. window .. '|' .. holder, string.format('%.0f:%.0f', granted, number))
		put('s|' .. window, total)
		put('x|' .. window, exhausted_at)
	end
	if grace_limit then
		grace = string.format('%.0f|%.0f|', grace_limit, grace_age) .. grace_id
		put('y|' .. window, grace .. string.format('|%.0f', now))
	end
	if starved_holder ~= holder and now >= starved_at and now - starved_at < RECLAIM_FOR then reclaim = 1 end
end
redis.call('HSET', KEYS[1], unpack(set))
return { string.format('%.0f', granted), string.format('%.0f', total), string.format('%.0f', limit),
	exhausted_at ~= 0 and 1 or 0, reclaim, epoch, (grants or nothing_left) and 0 or 1, string.format('%.0f', last),
	grace, server_of_holder == server and 0 or 1 }

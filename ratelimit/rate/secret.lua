-- The secret that all gateways hash the names of buckets with. One that is there stays.
-- KEYS[1] the secret. ARGV: the caller's, for a Redis that has none.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])

// Loaded before the tests of many projects: every host below example.test is this machine.
import dns from "node:dns";

const lookup = dns.lookup;
dns.lookup = (host, options, done) =>
  lookup(host.endsWith(".example.test") ? "127.0.0.1" : host, options, done);

//! Authentication and ACLs.

use super::{Bool, Every, Long, Setting, Text, YesNo, both, by_agent, key, owned, property, unwise, vital};
use crate::settings::SettingRule::{Followed, Refused};

const LOGIN: &str = "the operator logs in with a digest, of the algorithm that every release has";
const MANDATORY: &str = "the operator logs in with a digest: where another login is mandatory it is locked out; that users log in is not supported yet";
const SECRET: &str = "who may read the ensemble may read the password";

pub const SETTINGS: &[Setting] = &[
    both("skipACL", YesNo, vital("no", "anybody could change the membership, and every other znode")),
    both("DigestAuthenticationProvider.superDigest", Text, by_agent("it is the operator's own login")),
    both("DigestAuthenticationProvider.digestAlg", Text, owned("SHA1", LOGIN)),
    both("DigestAuthenticationProvider.enabled", Bool, owned("true", LOGIN)),
    both("sessionRequireClientSASLAuth", Bool, owned("false", MANDATORY)),
    both("enforce.auth.enabled", Bool, owned("false", MANDATORY)),
    both("enforce.auth.schemes", Text, Refused(MANDATORY)),
    both("enforce.auth.*", Text, Refused(MANDATORY)),
    both("DigestAuthenticationProvider.*", Text, Refused(LOGIN)),
    both("authProvider.*", Text, Followed),
    both("allowSaslFailedClients", Bool, Followed),
    both("sasl.serverconfig", Text, Followed),
    both("SASLAuthenticationProvider.superPassword", Text, unwise(Every, SECRET)),
    both("X509AuthenticationProvider.superUser", Text, Followed),
    both("IPAuthenticationProvider.usexforwardedfor", Bool, Followed).since(&[(9, 3)]),
    both("superUser", Text, Followed),
    both("letAnySaslUserDoX", Text, unwise(Every, "whoever logs in through SASL passes for the user that it names")),
    both("ensembleAuthName", Text, Followed),
    both("enableEagerACLCheck", Bool, Followed),
    both("kerberos.canonicalizeHostNames", Bool, Followed),
    both("kerberos.minReLoginTimeMs", Long, Followed).since(&[(8, 1)]),
    both("kerberos.removeHostFromPrincipal", Bool, Followed),
    both("kerberos.removeRealmFromPrincipal", Bool, Followed),
    both("kinit", Text, Followed),
    both("requireKerberosConfig", Bool, Followed),
    both("security.auth_to_local", Text, Followed),
    // ZooKeeper takes a key that begins with `server.` for a member, and so refuses this one in zoo.cfg.
    key("server.realm", Text, Refused("set it in jvm.flags, as -Dzookeeper.server.realm")),
    property("zookeeper.server.realm", Text, Followed),
];

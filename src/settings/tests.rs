//! The cases that were tried on a real cluster (issue "what broke in other hands", part D), and the rules behind them.

use std::collections::{BTreeMap, BTreeSet};

mod faults;
mod taken_back;
mod values;

use serde_json::{Value, json};

use super::table::GROUPS;
use super::{Reach, SettingRule, all, owned};
use crate::model::layout::ADMIN_PORT;
use crate::model::{Desired, InvalidSpec};

fn desired(spec: Value) -> Result<Desired, InvalidSpec> {
    let mut whole = json!({"replicas": 3, "version": "3.9.5"});
    let Value::Object(spec) = spec else { panic!("{spec} is no spec") };
    whole.as_object_mut().unwrap().extend(spec);
    Desired::from_spec(&serde_json::from_value(whole).unwrap())
}

fn config(key: &str, value: &str) -> Result<Desired, InvalidSpec> {
    desired(json!({"config": {key: value}}))
}

fn flag(flag: &str) -> Result<Desired, InvalidSpec> {
    desired(json!({"jvm": {"flags": [flag]}}))
}

fn server(mut container: Value) -> Result<Desired, InvalidSpec> {
    container["name"] = json!("zookeeper");
    desired(json!({"podTemplate": {"spec": {"containers": [container]}}}))
}

/// Asserts that a spec is refused with these words, and because of this field alone.
fn refused(asked: Result<Desired, InvalidSpec>, field: &str, words: &str) {
    let error = asked.expect_err(&format!("accepted, and not refused with {words:?}"));
    let said = error.faults().iter().any(|fault| fault.reason.contains(words));
    assert!(said && error.faults().iter().all(|fault| fault.field == field), "{error}\n  and not {field}: {words}");
}

/// Asserts that a spec is accepted without a warning.
fn followed(asked: Result<Desired, InvalidSpec>) -> Desired {
    let desired = asked.unwrap();
    assert_eq!(desired.advice, Vec::<String>::new());
    desired
}

#[test]
fn case_01_the_prometheus_provider_is_followed_and_ports_that_are_taken_are_refused_by_name() {
    let class = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    followed(desired(json!({"config": {
        "metricsProvider.className": class,
        "metricsProvider.httpPort": "7000",
        "metricsProvider.exportJvmInfo": "true",
    }})));
    for (port, holder) in [
        ("8079", "the agent"),
        ("8080", "the AdminServer"),
        ("2181", "clients"),
        ("2888", "quorum"),
        ("3888", "elections"),
    ] {
        refused(config("metricsProvider.httpPort", port), "config", &format!("must not be {port}: in a member's pod"));
        refused(config("metricsProvider.httpPort", port), "config", holder);
        refused(flag(&format!("-Dcom.sun.management.jmxremote.port={port}")), "jvm.flags", holder);
    }
    refused(config("metricsProvider.httpPort", "http"), "config", "must be a port");
}

#[test]
fn case_02_leader_serves_no_is_followed_where_two_others_serve() {
    followed(config("leaderServes", "no"));
    // The agent sees only zoo.cfg of its server's settings, so the value must be there.
    for (flags, value) in [("-Dzookeeper.leaderServes=no", "no"), ("-Dzookeeper.leaderServes=yes", "yes")] {
        let asked = followed(flag(flags));
        assert_eq!((asked.config["leaderServes"].as_str(), asked.jvm_flags.len()), (value, 0));
    }
    for few in [1, 2] {
        let of = |mut spec: Value| {
            spec["replicas"] = json!(few);
            desired(spec)
        };
        let why = "must not be no with fewer than 3 replicas";
        refused(of(json!({"config": {"leaderServes": "no"}})), "config", why);
        refused(of(json!({"jvm": {"flags": ["-Dzookeeper.leaderServes=no"]}})), "jvm.flags", why);
        followed(of(json!({"config": {"leaderServes": "yes"}})));
    }
}

#[test]
fn case_07_max_client_cnxns_is_followed() {
    assert_eq!(followed(config("maxClientCnxns", "1")).config["maxClientCnxns"], "1");
}

#[test]
fn case_09_what_the_operators_own_login_depends_on_is_refused() {
    for (key, value) in [
        ("DigestAuthenticationProvider.digestAlg", "SHA-256"),
        ("DigestAuthenticationProvider.enabled", "false"),
        ("DigestAuthenticationProvider.superDigest", "super:x"),
    ] {
        refused(config(key, value), "config", "operator");
        refused(flag(&format!("-Dzookeeper.{key}={value}")), "jvm.flags", "operator");
    }
}

#[test]
fn case_10_a_login_that_locks_the_operator_out_is_refused_and_one_beside_it_is_followed() {
    for (key, value) in
        [("sessionRequireClientSASLAuth", "true"), ("enforce.auth.enabled", "true"), ("enforce.auth.schemes", "sasl")]
    {
        refused(config(key, value), "config", "that users log in is not supported yet");
        refused(flag(&format!("-Dzookeeper.{key}={value}")), "jvm.flags", "that users log in is not supported yet");
    }
    followed(config("authProvider.1", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"));
}

#[test]
fn case_17_jute_maxbuffer_in_config_becomes_the_property_that_servers_read() {
    let both = followed(desired(json!({"config": {"jute.maxbuffer": " 8388608"}, "jvm": {"flags": ["-XX:+UseZGC"]}})));
    assert_eq!(both.jvm_flags, ["-XX:+UseZGC", "-Djute.maxbuffer=8388608"]);
    assert!(both.config.is_empty());
    followed(flag("-Djute.maxbuffer=0x400000"));
    // Java ignores a value that is not a number, and with a smaller limit servers cannot read the data that they have.
    for wrong in ["8M", "4294967296", "1024", "8 388 608"] {
        refused(config("jute.maxbuffer", wrong), "config", "1048575");
    }
    let twice = json!({"config": {"jute.maxbuffer": "2097152"}, "jvm": {"flags": ["-Djute.maxbuffer=4194304"]}});
    refused(desired(twice), "jvm.flags", "says once more what config says");
}

#[test]
fn case_18_variables_that_nobody_reads_are_refused_with_what_to_use() {
    for (name, instead) in [
        ("ZOO_MAX_CLIENT_CNXNS", "use config"),
        ("ZOO_CFG_EXTRA", "use config"),
        ("ZOO_4LW_COMMANDS_WHITELIST", "use config"),
        ("ZOO_SERVERS", "use config"),
        ("JMXPORT", "-Dcom.sun.management.jmxremote.port"),
        ("SERVER_JVMFLAGS", "jvm.flags"),
        ("JVMFLAGS", "jvm.flags"),
        ("JDK_JAVA_OPTIONS", "jvm.flags"),
        ("JAVA_TOOL_OPTIONS", "jvm.flags"),
        ("_JAVA_OPTIONS", "jvm.flags"),
        ("ZK_SERVER_HEAP", "jvm.heap"),
        ("ZOOCFGDIR", "operator's own"),
        ("PATH", "replace what runs"),
        ("BASH_ENV", "replace what runs"),
        ("ENV", "replace what runs"),
        ("BASH_FUNC_java%%", "replace what runs"),
        ("SHELLOPTS", "replace what runs"),
        ("LD_PRELOAD", "replace what runs"),
        ("LD_LIBRARY_PATH", "replace what runs"),
        ("JAVA_HOME", "replace what runs"),
        ("CLASSPATH", "below lib of the image"),
        ("ZOOKEEPER_PREFIX", "operator's own"),
    ] {
        refused(server(json!({"env": [{"name": name, "value": "x"}]})), "podTemplate", instead);
        let secret = json!({"env": [{"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
        refused(server(secret), "podTemplate", instead);
    }
    for name in ["TZ", "CLIENT_JVMFLAGS", "ZOO_LOG_FILE", "MY_ZOO_X", "LANG", "MY_PATH"] {
        followed(server(json!({"env": [{"name": name, "value": "x"}]})));
    }
    // Only the server's container is checked: others may have these variables.
    followed(desired(json!({"podTemplate": {"spec": {"containers": [
        {"name": "exporter", "env": [{"name": "ZOO_SERVERS", "value": "x"}], "envFrom": [{"secretRef": {"name": "s"}}]},
    ]}}})));
}

#[test]
fn case_19_nothing_is_put_where_zk_server_sh_would_run_it_or_the_data_is() {
    refused(server(json!({"envFrom": [{"configMapRef": {"name": "x"}}]})), "podTemplate", "name each in env");
    for path in [
        "/conf/java.env",
        "/conf",
        "/conf/",
        "//conf/../conf/java.env",
        "/conf/zookeeper-env.sh",
        "/apache-zookeeper-3.9.5-bin/bin/zkEnv.sh",
        "/apache-zookeeper-3.9.5-bin/bin",
        "/apache-zookeeper-3.9.5-bin/conf",
        "/data",
        "/data/",
        "/data/version-2",
        "/data/conf/zoo.cfg",
        "/x/../data/./conf",
        "/",
        "/logs",
        "/tmp",
        "/apache-zookeeper-3.9.5-bin",
        "/apache-zookeeper-3.9.5-bin/libexec",
        "/apache-zookeeper-3.9.5-bin/libexec/zkEnv.sh",
        "/apache-zookeeper-3.9.5-bin/lib",
        "/opt/zookeeper",
        "/opt/zookeeper-3.9.5/",
        "/opt",
        "/usr",
        "/usr/bin",
        "/bin",
        "/lib",
    ] {
        let mount = json!({"volumeMounts": [{"name": "x", "mountPath": path}]});
        refused(server(mount), "podTemplate", "nothing may be mounted at");
        refused(server(json!({"volumeDevices": [{"name": "x", "devicePath": path}]})), "podTemplate", "nothing may be");
    }
    for path in [
        "/conf/logback.xml",
        "/datalog",
        "/data2",
        "/usr/local/bin",
        "/extra",
        "/tmp/dumps",
        "/var/log/zookeeper",
        "/etc/zookeeper-tls",
        "/apache-zookeeper-3.9.5-bin/lib/mine.jar",
        "/opt/jmx",
    ] {
        followed(server(json!({"volumeMounts": [{"name": "x", "mountPath": path}]})));
    }
}

#[test]
fn what_the_api_server_refuses_of_the_servers_container_is_refused_in_a_stored_spec_as_well() {
    for part in ["image", "command", "args"] {
        let value = if part == "image" { json!("x") } else { json!(["x"]) };
        refused(server(json!({part: value})), "podTemplate", &format!("{part} must not be set"));
    }
    for part in ["resources", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"] {
        refused(server(json!({part: {}})), "podTemplate", &format!("{part} must not be set"));
    }
}

#[test]
fn case_20_flags_are_no_way_around_the_table() {
    for (unsafe_flag, words) in [
        ("-Dzookeeper.snapshot.trust.empty=true", "as if it were all"),
        ("-Dzookeeper.4lw.commands.whitelist=*", "add to 4lw.commands.whitelist in config"),
        ("-Dzookeeper.forceSync=no", "power fails"),
        ("-Dzookeeper.db.autocreate=true", "stale leader"),
        ("-Dzookeeper.skipACL=yes", "anybody"),
        ("-Dzookeeper.admin.serverPort=9", "AdminServer"),
        ("-Dzookeeper.admin.whatever=9", "AdminServer"),
        ("-Dreadonlymode.enabled=true", "without a quorum"),
        ("-Dzookeeper.tickTime=1000", "set it in config"),
        ("-Dzookeeper.maxClientCnxns=1000", "set it in config"),
        ("-Dzookeeper.root.logger=DEBUG", "logback.xml"),
        ("-Dzookeeper.snapCount=many", "must be a whole number"),
        ("-Dzookeeper.snapCount", "must be a whole number"),
        ("-XX:VMOptionsFile=/extra/flags", "does not see"),
        ("-XX:Flags=/extra/flags", "does not see"),
        ("-cp", "class path"),
        ("-Da=b -Dzookeeper.skipACL=yes", "holds no space"),
        ("@/extra/flags", "starts with '-'"),
    ] {
        refused(flag(unsafe_flag), "jvm.flags", words);
    }
    for harmless in
        ["-Dzookeeper.snapCount=50000", "-Duser.timezone=UTC", "-XX:+UseZGC", "-javaagent:/extra/a.jar=7001:/x"]
    {
        assert_eq!(followed(flag(harmless)).jvm_flags, [harmless]);
    }
}

#[test]
fn case_20_a_value_that_a_flag_holds_is_not_shown() {
    let error = flag("-Dzookeeper.DigestAuthenticationProvider.superDigest=super:secret").unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn case_24_force_sync_is_always_on() {
    refused(config("forceSync", "no"), "config", "acknowledged before it is on disk");
    refused(config("zookeeper.forceSync", "no"), "config", "write forceSync");
    refused(flag("-Dzookeeper.forceSync=no"), "jvm.flags", "acknowledged before it is on disk");
    assert!(owned().any(|line| line == ("forceSync", "yes")));
    assert!(super::last_flags().any(|flag| flag == "-Dzookeeper.forceSync=yes"));
}

#[test]
fn case_27_words_are_added_to_those_that_the_agent_asks() {
    let listed =
        |words: &str| followed(config("4lw.commands.whitelist", words)).config["4lw.commands.whitelist"].clone();
    assert_eq!(listed("stat, cons,wchs"), "conf, cons, isro, mntr, ruok, srvr, stat, wchs");
    assert_eq!(listed("mntr"), "conf, isro, mntr, ruok, srvr");
    assert_eq!(listed("*"), "*");
    assert_eq!(listed("stat,*"), "*");
    refused(config("4lw.commands.whitelist", "statistics"), "config", "four letters");
    refused(config("4lw.commands.whitelist", "stat;cons"), "config", "four letters");
}

#[test]
fn case_43_a_value_that_zoo_cfg_cannot_carry_is_refused() {
    refused(config("ssl.ciphersuites", "TLS_AES_128_GCM_SHA256,\\"), "config", "backslash");
    refused(config("datum", "x\\"), "config", "backslash");
    refused(config("X509AuthenticationProvider.superUser", "CN=a\\,b"), "config", "backslash");
    refused(config("datum", "a\nserver.9=x"), "config", "one line");
    refused(config("datum", "a\rb"), "config", "one line");
    refused(config("datum", "a\tb"), "config", "control characters");
    refused(config("datum", "a\u{c}"), "config", "control characters");
    refused(config("datum", "é"), "config", "ASCII");
    refused(config("datum", "  "), "config", "no value");
    refused(config("datum", &"x".repeat(1025)), "config", "1024");
    for key in ["a b", "a=b", "a:b", "#a", "!a", "a\\", "", "é", "a\nb", ".a"] {
        assert_eq!(config(key, "x").unwrap_err().faults()[0].field, "config", "{key:?}");
    }
    for value in ["a=b", ":a", "=a", "# a", "!", "a b", "CN=a, O=b", "a#b"] {
        assert_eq!(config("superUser", value).unwrap().config["superUser"], value);
    }
    assert_eq!(config("superUser", " \ta ").unwrap().config["superUser"], "a");
}

#[test]
fn what_is_unknown_is_passed_on_and_said() {
    let asked = desired(json!({"config": {"datum": "x", "snapCount": "7"}, "jvm": {"flags": ["-Dzookeeper.new=1"]}}));
    let asked = asked.unwrap();
    assert_eq!(asked.config["datum"], "x");
    assert_eq!(asked.advice, ["ZooKeeper 3.8 and 3.9 know no datum, zookeeper.new; passed on all the same"]);
    let many: serde_json::Map<_, _> = (10..90).map(|n| (format!("unknown{n}"), json!("x"))).collect();
    let advice = desired(json!({"config": many})).unwrap().advice;
    assert!(advice[0].contains("unknown17 and 72 more"), "{advice:?}");
}

#[test]
fn what_a_version_does_not_know_yet_and_what_is_unwise_is_said() {
    let on = |version: &str, key: &str, value: &str| {
        desired(json!({"version": version, "config": {key: value}})).unwrap().advice
    };
    assert_eq!(on("3.9.5", "fips-mode", "false"), Vec::<String>::new());
    assert_eq!(on("3.8.2", "fips-mode", "false"), Vec::<String>::new());
    assert!(on("3.8.1", "fips-mode", "false")[0].contains("ZooKeeper 3.8.1 does not know it yet"));
    assert!(on("3.9.4", "ssl.allowReverseDnsLookup", "true")[0].contains("3.9.4 does not know"));
    assert_eq!(on("3.8.6", "ssl.allowReverseDnsLookup", "true"), Vec::<String>::new());
    assert_eq!(on("3.10.0", "ssl.allowReverseDnsLookup", "true"), Vec::<String>::new());
    assert!(on("3.9.5", "sslQuorum", "true")[0].contains("halts at the first restart"));
    assert_eq!(on("3.9.5", "sslQuorum", "false"), Vec::<String>::new());
    assert!(on("3.9.5", "ssl.keyStore.password", "secret")[0].contains("passwordPath"));
    assert!(!on("3.9.5", "ssl.keyStore.password", "secret")[0].contains("secret"));
}

#[test]
fn names_of_the_documentation_that_zookeeper_does_not_read_are_refused_with_the_one_that_it_reads() {
    refused(config("requestThrottleLimit", "10"), "config", "write request_throttle_max_requests");
    refused(config("maxConcurrentSnapSyncs", "10"), "config", "write leader.maxConcurrentSnapSyncs");
}

#[test]
fn every_name_that_zookeeper_takes_for_the_membership_is_refused() {
    for key in
        ["server.1", "server.9", "group.1", "groupies", "weight.1", "weights", "peerType", "peerTypes", "oraclePath"]
    {
        refused(config(key, "x"), "config", "must not be set");
    }
    for key in [
        "clientPort",
        "clientPortAddress",
        "clientPorts",
        "secureClientPort",
        "dynamicConfigFile",
        "dynamicConfigFiles",
    ] {
        refused(config(key, "1"), "config", "must not be set");
    }
    for key in ["dataDir", "dataDirs", "dataLogDir", "menagerie.config"] {
        refused(config(key, "x"), "config", "must not be set");
    }
}

#[test]
fn times_with_which_no_server_would_start_are_refused() {
    for key in ["tickTime", "initLimit", "syncLimit"] {
        refused(config(key, "0"), "config", "at least 1");
        refused(config(key, "2s"), "config", "at least 1");
    }
    // By default the longest session is 40 s; if the user sets a time in ticks, it is 20 ticks.
    refused(config("minSessionTimeout", "90000"), "config", "larger than maxSessionTimeout 40000");
    refused(config("maxSessionTimeout", "1000"), "config", "minSessionTimeout 4000 is larger");
    followed(desired(json!({"config": {"minSessionTimeout": "90000", "maxSessionTimeout": "90000"}})));
    followed(desired(json!({"config": {"minSessionTimeout": "90000", "tickTime": "6000"}})));
    followed(config("maxSessionTimeout", "-1"));
    for none in ["0", "-1"] {
        assert!(config("autopurge.purgeInterval", none).unwrap().advice[0].contains("the volume fills"), "{none}");
    }
    followed(config("autopurge.purgeInterval", "24"));
    // ZooKeeper multiplies in 32 bits, and gives the product to a socket.
    let times = |spec: Value| desired(json!({"config": spec}));
    for limit in ["initLimit", "syncLimit", "connectToLearnerMasterLimit"] {
        refused(
            times(json!({"tickTime": "2000", limit: "1073742"})),
            "config",
            &format!("tickTime 2000 times {limit}"),
        );
        followed(times(json!({"tickTime": "2000", limit: "1073741"})));
    }
    refused(config("tickTime", "200000000"), "config", "more than 2147483647");
    refused(config("tickTime", "107374183"), "config", "tickTime 107374183 times 20");
    followed(times(
        json!({"tickTime": "107374183", "initLimit": "5", "maxSessionTimeout": "2000000000", "minSessionTimeout": "1"}),
    ));
    refused(times(json!({"minSessionTimeout": "-2", "maxSessionTimeout": "0"})), "config", "maxSessionTimeout 0");
}

#[test]
fn containers_beside_the_server_share_its_ports_and_none_takes_one_that_is_held() {
    let beside = |spec: Value| desired(json!({"podTemplate": {"spec": spec}}));
    let with_port = |port: u16| json!({"containers": [{"name": "exporter", "ports": [{"containerPort": port}]}]});
    refused(beside(with_port(8080)), "podTemplate", "that port belongs to the AdminServer");
    refused(beside(with_port(8079)), "podTemplate", "that port belongs to the agent");
    followed(beside(with_port(9141)));
    let before = |policy: Option<&str>| {
        let ports = json!([{"containerPort": 8080}]);
        let container = json!({"name": "mesh", "image": "x", "restartPolicy": policy, "ports": ports});
        beside(json!({"initContainers": [container]}))
    };
    refused(before(Some("Always")), "podTemplate", "that port belongs to the AdminServer");
    // An init container that ends has released its ports before the server starts.
    followed(before(None));
    followed(server(json!({"ports": [{"containerPort": 2181, "name": "client"}]})));
    refused(beside(json!({"containers": [{"name": "agent", "image": "x"}]})), "podTemplate", "operator's own");
    refused(beside(json!({"initContainers": [{"name": "prepare", "image": "x"}]})), "podTemplate", "operator's own");
    refused(beside(json!({"volumes": [{"name": "super", "emptyDir": {}}]})), "podTemplate", "operator's own");
}

#[test]
fn each_option_stands_once_and_its_rule_says_enough() {
    let names: BTreeSet<&str> = all().map(|setting| setting.name).collect();
    assert_eq!(names.len(), all().count(), "one stands twice");
    assert!(names.len() > 200 && GROUPS.iter().all(|(_, settings)| !settings.is_empty()));
    for setting in all() {
        let why = match setting.rule {
            SettingRule::Owned { why, .. } | SettingRule::Refused(why) | SettingRule::Unwise { why, .. } => why,
            SettingRule::Followed | SettingRule::Extended(_) => continue,
        };
        assert!(why.len() > 15 && !why.ends_with('.') && !why.contains('|'), "{}: {why}", setting.name);
    }
    let ours: BTreeMap<&str, &str> = owned().collect();
    assert_eq!(ours["admin.serverPort"], ADMIN_PORT.to_string());
}

#[test]
fn what_is_owned_is_refused_wherever_it_is_asked_for() {
    for setting in all().filter(|setting| matches!(setting.rule, SettingRule::Owned { .. } | SettingRule::Refused(_))) {
        let name = setting.name.replace('*', "x");
        refused(config(&name, "1"), "config", "must not be set");
        // `server.realm` is refused as a key, because ZooKeeper takes it for a member, and followed as a property.
        if setting.reach == Reach::Key && name != "server.realm" {
            assert!(flag(&format!("-Dzookeeper.{name}=1")).is_err(), "{name}");
        }
        if let Some(property) = setting.property() {
            refused(flag(&format!("-D{}=1", property.replace('*', "x"))), "jvm.flags", "must not be set");
        }
    }
}

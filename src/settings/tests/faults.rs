//! Several faults at once, and names in the wrong case.

use super::*;

#[test]
fn a_name_in_other_letters_is_refused_with_the_right_one_and_with_what_is_wrong_with_that() {
    refused(
        config("ticktime", "2000"),
        "config",
        "ticktime is not read, since ZooKeeper tells small letters from capitals: write tickTime",
    );
    refused(config("snapcount", "many"), "config", "capitals: snapCount must be a whole number");
    refused(config("skipAcl", "yes"), "config", "capitals: skipACL must not be set");
    refused(config("jute.maxBuffer", "2097152"), "config", "write jute.maxbuffer");
    refused(config("clientport", "2182"), "config", "clientPort must not be set");
    refused(config("zookeeper.snapcount", "7"), "config", "so write snapCount");
    refused(flag("-Dzookeeper.ForceSync=no"), "jvm.flags", "capitals: zookeeper.forceSync must not be set");
    refused(flag("-Dzookeeper.snapcount=7"), "jvm.flags", "write zookeeper.snapCount");
    refused(flag("-Dzookeeper.ticktime=7"), "jvm.flags", "set it in config");
}

#[test]
fn each_setting_that_is_refused_is_named_in_one_message() {
    let spec = json!({
        "config": {
            "skipAcl": "no",
            "tickTime": "2s",
            "minSessionTimeout": "9000",
            "maxSessionTimeout": "8000",
            "clientPorts": "1",
        },
        "jvm": {"flags": ["-cp", "-Xrs", "-Dzookeeper.forceSync=no"]},
        "podTemplate": {"spec": {"containers": [{
            "name": "zookeeper",
            "command": ["x"],
            "env": [{"name": "JVMFLAGS", "value": "x"}],
            "volumeMounts": [{"name": "x", "mountPath": "/data"}, {"name": "x", "mountPath": "/logs"}],
        }]}},
    });
    let error = desired(spec).unwrap_err();
    let words = [
        "config: clientPorts must not be set",
        "config: skipAcl is not read",
        "config: tickTime must be a whole number",
        "config: minSessionTimeout 9000 is larger than maxSessionTimeout 8000",
        "jvm.flags: -cp replaces",
        "jvm.flags: -Dzookeeper.forceSync must not be set",
        "podTemplate: of the container zookeeper, command must not be set",
        "podTemplate: of the container zookeeper, env JVMFLAGS must not be set",
        "podTemplate: of the container zookeeper, nothing may be mounted at /data",
        "podTemplate: of the container zookeeper, nothing may be mounted at /logs",
    ];
    assert_eq!(error.faults().len(), words.len(), "{error}");
    for (fault, words) in error.faults().iter().zip(words) {
        assert!(fault.to_string().contains(words), "{fault}\n  and not {words}");
    }
    assert!(error.to_string().ends_with("; and 2 more"), "{error}");
}

#[test]
fn what_is_refused_is_not_held_against_other_times() {
    let number = |config: Value| desired(json!({"config": config})).unwrap_err().faults().len();
    // With ticks of 6 s, sessions of 90 s would be valid; without a valid tick, nobody can tell.
    assert_eq!(number(json!({"tickTime": "6000ms", "minSessionTimeout": "90000"})), 1);
    assert_eq!(number(json!({"tickTime": "0"})), 1);
    assert_eq!(number(json!({"maxSessionTimeout": "90s", "minSessionTimeout": "50000"})), 1);
    assert_eq!(number(json!({"initLimit": "many", "syncLimit": "1073742"})), 2);
}

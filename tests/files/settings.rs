//! What real ZooKeeper makes of the zoo.cfg that we render: what is owned wins over every flag, what is followed arrives, and
//! both do after ZooKeeper has written the file anew. Needs Java: `dev/test files`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use menagerie::settings::{SettingRule, all, known, owned};
use serde_json::{Value, json};

use crate::live::java;
use crate::rendered::objects;

/// zoo.cfg as the ConfigMap holds it.
fn rendered(config: &Value) -> String {
    let spec = json!({"replicas": 3, "version": "3.9.5", "config": config});
    let objects = objects(spec, |_| {});
    let map = objects.iter().find(|object| object["data"]["zoo.cfg"].is_string()).unwrap();
    map["data"]["zoo.cfg"].as_str().unwrap().to_owned()
}

fn read(line: &str) -> BTreeMap<String, String> {
    serde_json::from_str(line).unwrap()
}

/// Values that look like syntax, under keys of all kinds.
fn awkward() -> Value {
    json!({
        "snapCount": "12345",
        "maxClientCnxns": "77",
        "superUser": "CN=a b, O=c:d=e#f!g",
        "ensembleAuthName": "=a",
        "ssl.ciphersuites": ":a,b",
        "kinit": "# not a comment",
        "4lw.commands.whitelist": "stat",
        "datum": "!",
    })
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn case_43_a_real_server_writes_zoo_cfg_anew_and_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let anew = |text: &str| {
        let file = folder.path().join("zoo.cfg");
        fs::write(&file, text).unwrap();
        read(&java("Settings", &["anew", file.to_str().unwrap(), "3"]))
    };
    let seen = anew(&rendered(&awkward()));
    for (key, value) in awkward().as_object().unwrap().iter().filter(|(key, _)| *key != "4lw.commands.whitelist") {
        assert_eq!(seen.get(key).map(String::as_str), value.as_str(), "{key}");
    }
    for (key, value) in owned() {
        assert_eq!(seen.get(key).map(String::as_str), Some(value), "{key}");
    }
    // Why a backslash is refused and not escaped: an escape holds for one reading.
    let lines = (0..20).map(|n| format!("k{n}=x\\\\\n")).collect::<Vec<_>>().concat();
    let seen = anew(&format!("{lines}db.autocreate=false\n"));
    assert!(seen.len() < 22, "ZooKeeper escapes what it writes: then so can we");
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn what_is_owned_wins_over_every_flag_on_a_real_server_before_and_after_it_wrote_zoo_cfg_anew() {
    let jars = std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`");
    let mut versions = 0;
    for version in ["3.9.5", "3.8.5"].into_iter().filter(|version| Path::new(&jars).join(version).exists()) {
        let folder = tempfile::tempdir().unwrap();
        let text = rendered(&awkward())
            .replace("dataDir=/data", "dataDir=@HOME@/data")
            .replace("admin.serverPort=8080", "admin.serverPort=@ADMIN@");
        fs::write(folder.path().join("zoo.cfg"), text).unwrap();
        let properties: Vec<(String, &str)> = all()
            .filter_map(|setting| match setting.rule {
                SettingRule::Owned { value: Some(value), .. } => Some((setting.property()?, value)),
                _ => None,
            })
            .collect();
        // The opposite of each, as a flag: nobody's operator lets that through, and an image or a webhook may.
        let contrary = properties.iter().map(|(property, value)| {
            let other = match *value {
                "true" => "false",
                "false" => "true",
                "yes" => "no",
                "no" => "yes",
                _ => "1",
            };
            format!("-D{property}={other}")
        });
        let home = folder.path().to_str().unwrap().to_owned();
        let mut arguments = vec!["serve".to_owned(), home, format!("{jars}/{version}")];
        arguments.extend(contrary.chain(["-Djute.maxbuffer=2097152".to_owned()]));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = java("Settings", &arguments);
        let starts: Vec<_> = output.lines().map(read).collect();
        assert_eq!(starts.len(), 2, "{output}");
        for (start, seen) in ["first", "second"].iter().zip(&starts) {
            for (property, value) in properties.iter().filter(|(property, _)| property != "zookeeper.admin.serverPort")
            {
                assert_eq!(
                    seen.get(property).map(String::as_str),
                    Some(*value),
                    "{version}, {start} start: {property}"
                );
            }
            assert_eq!(seen["zookeeper.superUser"], "CN=a b, O=c:d=e#f!g");
            assert_eq!(seen["zookeeper.kinit"], "# not a comment");
            assert_eq!(seen["zookeeper.4lw.commands.whitelist"], "conf, isro, mntr, ruok, srvr, stat");
            assert_eq!(seen["jute.maxbuffer"], "2097152");
            assert_eq!(seen["conf maxClientCnxns"], "77");
        }
        versions += 1;
    }
    assert!(versions > 0, "no release was tried");
}

/// What looks like an option in the jars and is none: beginnings of names, values, and what the server says of itself.
const NO_OPTIONS: [&str; 11] = [
    "false",
    "group",
    "metricsProvider.",
    "myid",
    "observer",
    "participant",
    "true",
    "version",
    "weight",
    "zookeeper.",
    "zookeeper.version",
];

#[test]
#[ignore = "needs Java: dev/test files"]
fn the_table_knows_every_option_that_the_jars_read() {
    let jars = std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`");
    let mut versions = 0;
    for version in ["3.9.5", "3.9.4", "3.8.5"].into_iter().filter(|version| Path::new(&jars).join(version).exists()) {
        let printed = java("Options", &[&format!("{jars}/{version}")]);
        // Some releases log to the standard output.
        let names: Vec<&str> = printed.lines().filter(|line| !line.contains(' ')).collect();
        for name in
            ["zookeeper.forceSync", "tickTime", "jute.maxbuffer", "zookeeper.ssl.quorum.crl", "jvm.pause.monitor"]
        {
            assert!(names.contains(&name), "{version}: {name} was not found: this test looks at nothing");
        }
        let missing: Vec<&&str> = names.iter().filter(|name| !known(name) && !NO_OPTIONS.contains(name)).collect();
        assert!(missing.is_empty(), "src/settings/table lacks what ZooKeeper {version} reads: {missing:?}");
        versions += 1;
    }
    assert!(versions > 0, "no release was looked at");
}

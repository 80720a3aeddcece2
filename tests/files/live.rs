//! What real ZooKeeper makes of our files. These need Java: `dev/test files` runs them, and names in
//! `MENAGERIE_CLASSPATH` what `dev/files classpath` prints.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::scenes::{Scene, scenes};
use crate::seen::{seen, served};

pub fn java(program: &str, arguments: &[&str]) -> String {
    let classpath =
        std::env::var("MENAGERIE_CLASSPATH").expect("run this through `dev/test files`, which names the class path");
    let mut command = Command::new("timeout");
    command.args(["300", "java", "-Xmx512m", "-Dfile.encoding=UTF-8", "-cp", &classpath, program]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs Java: dev/test files"]
fn a_server_starts_from_a_snapshot_that_we_wrote_and_serves_that_tree() {
    let jars = PathBuf::from(std::env::var("MENAGERIE_JARS").expect("run this through `dev/test files`"));
    let mut served_by = Vec::new();
    for scene in scenes().iter().filter(|scene| scene.name.ends_with("/alone") || scene.name.ends_with("/ensemble")) {
        let version = scene.name.split('/').next().unwrap();
        let member = scene.members().into_iter().map(|member| member.replayed(member.snapshots().first()));
        let replay = member.into_iter().find(|replay| replay.tree().get(b"/end").is_some()).unwrap();
        let tree = replay.tree();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data/version-2");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join(format!("snapshot.{}", tree.last())), tree.write(Vec::new()).unwrap()).unwrap();
        java("Play", &[folder.path().to_str().unwrap(), jars.join(version).to_str().unwrap(), version, "look"]);
        let looked = seen(&Scene { name: scene.name.clone(), folder: folder.path().to_owned() });
        let ours = served(tree);
        for (path, znode) in &looked {
            assert_eq!(ours.get(path), Some(znode), "{}: {path}", scene.name);
        }
        assert_eq!(looked.len(), ours.len(), "{}", scene.name);
        served_by.push(version.to_owned());
    }
    served_by.dedup();
    assert!(served_by.len() >= 7, "only releases {served_by:?}");
}

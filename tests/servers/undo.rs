//! One transaction of a running ensemble is undone, from a server's own logs (`docs/restore.md`).

use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Error as ZkError, Permission};
use zookeeper_files::ids::Zxid;

use crate::restore::{Scene, ended};

impl Scene {
    /// The data; `None` if there is no such znode.
    async fn data(&self, path: &str) -> Option<String> {
        match self.app.get_data(path).await {
            Ok((data, _)) => Some(String::from_utf8(data).unwrap()),
            Err(ZkError::NoNode) => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// A change of `/beside`, which tells the zxid before its own: nobody else writes.
    async fn last(&self) -> Zxid {
        let stat = self.app.set_data("/beside", b"", None).await.unwrap();
        Zxid(stat.mzxid.cast_unsigned() - 1)
    }

    /// Plans an undo, and carries it out; what was planned, and how much was done.
    fn undo(&self, zxid: Zxid) -> (String, String) {
        let _was_there = std::fs::remove_file(self.file());
        let (data, zxid, file) = (self.ensemble.data(1), format!("{zxid:#}"), self.file());
        let words =
            ["plan", data.to_str().unwrap(), "--undo", &zxid, "--same-ensemble", "--save", file.to_str().unwrap()];
        let planned = ended(&self.command(&words).output().unwrap(), 0);
        let apply = ["apply", file.to_str().unwrap()];
        let done = ended(&self.command(&apply).output().unwrap(), 0);
        let again = ended(&self.command(&apply).output().unwrap(), 0);
        assert!(again.contains("done, 0 changes in this run"), "{again}");
        (planned, done)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn a_transaction_is_undone_and_what_others_have_changed_since_stays() {
    let scene = Scene::new("3.9.5", 60, "extendedTypesEnabled=true").await;
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let closed = CreateMode::Persistent.with_acls(Acls::creator_all());
    for path in ["/beside", "/app", "/app/b", "/app/c"] {
        scene.create(path, "good", &open).await;
    }
    scene.create("/app/a", "secret", &closed).await;
    scene.create("/app/a/deep", "deep", &closed).await;

    let mut multi = scene.app.new_multi_writer();
    multi.add_check_version("/app", 0).unwrap();
    for path in ["/app/a/deep", "/app/a", "/app/b"] {
        multi.add_delete(path, None).unwrap();
    }
    multi.add_set_data("/app", b"wrong", None).unwrap();
    multi.add_create("/app/new", b"wrong", &open).unwrap();
    multi.add_create("/app/new/below", b"wrong", &open).unwrap();
    multi.commit().await.unwrap();
    let mistake = scene.last().await;
    // Others go on meanwhile: they have made one of its znodes again, and changed another one beside.
    scene.create("/app/b", "theirs", &open).await;
    scene.app.set_data("/app/c", b"theirs", None).await.unwrap();

    let (planned, done) = scene.undo(mistake);
    for words in [
        "delete /app/new/below",
        "create /app/a/deep",
        "set /app (version 1)",
        "skip /app/b  is not as that transaction left it: others have changed it since",
        "only a part of the transaction is undone: of the 6 znodes that it changed, 1 are left as they are",
        "2 to create, 1 to set, 0 ACLs to set, 2 to delete; 0 equal, 1 skipped",
    ] {
        assert!(planned.contains(words), "{words}\n{planned}");
    }
    assert!(planned.contains(&format!("undo of {mistake:#}")) && done.contains("5 changes in this run"), "{planned}");
    for (path, data) in [
        ("/app", Some("good")),
        ("/app/a", Some("secret")),
        ("/app/a/deep", Some("deep")),
        ("/app/b", Some("theirs")),
        ("/app/c", Some("theirs")),
        ("/app/new", None),
    ] {
        assert_eq!(scene.data(path).await.as_deref(), data, "{path}");
    }
    let (acl, _) = scene.app.get_acl("/app/a/deep").await.unwrap();
    assert_eq!((acl.len(), acl[0].scheme()), (1, "digest"));

    // An ACL alone, a TTL, and one that others have used since.
    scene.app.set_acl("/app/c", &[Acl::new(Permission::READ, AuthId::anyone())], None).await.unwrap();
    let (planned, _) = scene.undo(scene.last().await);
    assert!(planned.contains("acl /app/c to world:anyone:cdrwa (aversion 1)"), "{planned}");
    scene.app.set_data("/app/c", b"all may write again", None).await.unwrap();
    let hour = std::time::Duration::from_hours(1);
    scene.create("/app/ttl", "ttl", &open.clone().with_ttl(hour)).await;
    scene.app.delete("/app/ttl", None).await.unwrap();
    let (planned, _) = scene.undo(scene.last().await);
    assert!(planned.contains("create /app/ttl with a TTL of 3600000 ms"), "{planned}");
    scene.create("/app/queue", "", &open).await;
    let made = scene.last().await;
    scene.create("/app/queue/n", "", &open).await;
    scene.app.delete("/app/queue/n", None).await.unwrap();
    let (planned, _) = scene.undo(made);
    assert!(planned.contains("skip /app/queue  is not as that transaction left it"), "{planned}");

    // The end of a session is refused by name.
    let other = zookeeper_client::Client::connector().connect(&scene.ensemble.address(1, 2181).to_string()).await;
    let other = other.unwrap();
    other.create("/app/live", b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.unwrap();
    drop(other);
    while scene.data("/app/live").await.is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let closed = format!("{:#}", scene.last().await);
    let data = scene.ensemble.data(1);
    let words = ["plan", data.to_str().unwrap(), "--undo", &closed, "--same-ensemble"];
    let refused = ended(&scene.command(&words).output().unwrap(), 2);
    assert!(refused.contains("ended a session (closeSession)"), "{refused}");
}

/// Clients that name their znodes by a queue's counter would find a name taken, or worse, not taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Java: dev/test servers"]
async fn a_sequence_goes_on_where_it_was_when_its_counter_is_raised() {
    const TAKEN: usize = 1000;
    let scene = Scene::new("3.9.5", 61, "").await;
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let sequential = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
    for path in ["/beside", "/app", "/app/queue"] {
        scene.create(path, "", &open).await;
    }
    let taken = (0..TAKEN).map(|_| async {
        let (_, number) = scene.app.create("/app/queue/n-", b"", &sequential).await.unwrap();
        scene.app.delete(&format!("/app/queue/n-{number}"), None).await.unwrap();
    });
    futures::future::join_all(taken).await;
    let point = format!("{:#}", scene.last().await);
    scene.app.delete("/app/queue", None).await.unwrap();

    let (data, file) = (scene.ensemble.data(1), scene.file());
    let words = ["plan", data.to_str().unwrap(), "--at", &point, "--path", "/app/queue"];
    let told = ended(&scene.command(&words).output().unwrap(), 0);
    assert!(told.contains("will go on with 0000000000, and had come to 0000001000"), "{told}");
    let words = [&words[..], &["--raise-counters", "--save", file.to_str().unwrap()]].concat();
    let told = ended(&scene.command(&words).output().unwrap(), 0);
    assert!(told.contains("raise the sequence counter of /app/queue to 0000001000"), "{told}");
    assert!(told.contains("1 sequence counters to raise") && !told.contains("had come to"), "{told}");
    let apply = ["apply", file.to_str().unwrap()];
    let done = ended(&scene.command(&apply).output().unwrap(), 0);
    assert!(done.contains("2 changes in this run"), "{done}");
    assert_eq!(scene.app.list_children("/app/queue").await.unwrap(), Vec::<String>::new());
    let (_, number) = scene.app.create("/app/queue/n-", b"", &sequential).await.unwrap();
    assert_eq!(number.to_string(), "0000001000");
    let again = ended(&scene.command(&apply).output().unwrap(), 0);
    assert!(again.contains("done, 0 changes in this run"), "{again}");
}

//! The documentation names everything that users meet, and its links lead somewhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file} cannot be read: {error}"))
}

fn reference_names(what: &str, names: impl IntoIterator<Item = String>) {
    let reference = read("docs/reference.md");
    let names: Vec<String> = names.into_iter().collect();
    assert!(!names.is_empty(), "no {what} was found: this test looks at nothing");
    let missing: Vec<&String> = names.iter().filter(|name| !reference.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/reference.md does not name these {what}: {missing:?}");
}

/// Paths of the leaves of a schema, `a.b` and `a[].b`. What stands in `whole` is named, and not looked into.
fn leaves(schema: &Value, path: &str, whole: &[&str], found: &mut Vec<String>) {
    let fields = schema["properties"].as_object().filter(|_| !whole.contains(&path));
    match fields {
        Some(fields) => fields.iter().for_each(|(name, field)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            leaves(field, &path, whole, found);
        }),
        None if schema["type"] == "array" && !whole.contains(&path) => {
            leaves(&schema["items"], &format!("{path}[]"), whole, found);
        }
        None => found.push(path.to_owned()),
    }
}

fn leaves_of(schema: &Value, whole: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    leaves(schema, "", whole, &mut found);
    found
}

#[test]
fn the_reference_names_every_field() {
    let crd = menagerie::api::crds().remove(0);
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let spec = &schema["spec"];
    let lists = [
        "image.pullSecrets",
        "jvm.flags",
        "resources",
        "archive.retention.resources",
        "agent.resources",
        "podTemplate.spec",
    ];
    reference_names("fields of the spec", leaves_of(spec, &lists));
    let pod = spec["properties"]["podTemplate"]["properties"]["spec"]["properties"].as_object().unwrap();
    reference_names("fields of podTemplate.spec", pod.keys().cloned());
    reference_names("fields of the status", leaves_of(&schema["status"], &["conditions[]"]));
    for crd in menagerie::api::crds().into_iter().skip(1) {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        reference_names(
            "fields of another spec",
            leaves_of(&schema["spec"], &["resources", "backup.resources", "paths", "znodes"]),
        );
        reference_names("fields of another status", leaves_of(&schema["status"], &["conditions[]"]));
    }
}

#[test]
fn the_page_of_settings_is_the_table() {
    assert!(
        read("docs/settings.md") == menagerie::settings::page(),
        "docs/settings.md is out of date: run `dev/generate`"
    );
}

#[test]
fn the_reference_names_every_chart_value() {
    let schema: Value = serde_json::from_str(&read("charts/menagerie/values.schema.json")).unwrap();
    let kubernetes = ["resources", "tolerations", "affinity", "podSecurityContext", "securityContext"];
    let whole = [&["global", "image.pullSecrets", "watch.namespaces"][..], &kubernetes[..]].concat();
    reference_names("chart values", leaves_of(&schema, &whole).into_iter().filter(|value| value != "global"));
}

#[test]
fn the_reference_names_every_condition_reason_and_action() {
    let mut words = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan")).unwrap() {
        words.extend(camel_case_words(&fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    words.extend(camel_case_words(&read("src/operator/ensemble/report.rs")));
    for file in ["restore/plan.rs", "backup/plan.rs", "schedule/plan.rs", "subject.rs"] {
        words.extend(camel_case_words(&read(&format!("src/operator/{file}"))));
    }
    words.extend(camel_case_words(&read("src/operator/restore/report.rs")));
    words.extend(camel_case_words(&read("src/operator/kit/status.rs")));
    for word in ["MemberNotSynced", "QuorumAvailable", "StepNotTaken"] {
        assert!(words.iter().any(|found| found == word), "{word} was not found: this test does not look right");
    }
    // Kubernetes' own kinds.
    let no_reasons =
        ["Pod", "PersistentVolumeClaim", "ZooKeeperEnsemble", "ZooKeeperBackup", "ZooKeeperRestore", "UTC", "Made"];
    words.retain(|word| !no_reasons.contains(&word.as_str()));
    reference_names("conditions, reasons and actions", words);
}

/// String literals that are one CamelCase word.
fn camel_case_words(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let literals = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    let words = literals.filter(|text| text.starts_with(|c: char| c.is_ascii_uppercase()) && text.len() > 2);
    words.filter(|text| text.chars().all(|c| c.is_ascii_alphabetic())).map(str::to_owned).collect()
}

#[test]
fn the_reference_names_every_metric() {
    let source = read("src/operator/kit/metrics.rs") + &read("src/operator/ensemble/metrics.rs");
    let registered = source.split("registry.register(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let counters = ["reconciles", "steps"];
    reference_names(
        "metrics",
        registered.map(|name| format!("menagerie_{name}{}", if counters.contains(&name) { "_total" } else { "" })),
    );
}

#[test]
fn the_reference_names_every_flag_of_the_operator() {
    let help = Command::new(env!("CARGO_BIN_EXE_menagerie")).args(["operator", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags = help.split_whitespace().filter(|word| word.starts_with("--") && *word != "--help");
    reference_names("flags", flags.map(str::to_owned));
    let variables = help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap().to_owned());
    reference_names("variables", variables);
}

#[test]
fn the_reference_and_the_page_on_files_name_every_command_on_files() {
    let (reference, files, readme) = (read("docs/reference.md"), read("docs/files.md"), read("README.md"));
    let mut found = 0;
    for group in ["log", "snapshot", "index"] {
        assert!(readme.contains(&format!("`menagerie {group}`")), "README.md does not name menagerie {group}");
        let help = Command::new(env!("CARGO_BIN_EXE_menagerie")).args([group, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let listed = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
        let named = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
        for command in named.filter(|command| *command != "help") {
            found += 1;
            let whole = format!("menagerie {group} {command}");
            assert!(reference.contains(&format!("`{whole}")), "docs/reference.md does not name {whole}");
            assert!(files.contains(&whole), "docs/files.md does not name {whole}");
        }
    }
    assert!(found >= 13, "the commands were not found: {found}");
}

/// Names of all tests that begin with `regression_`, under `tests`.
fn regression_tests(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            regression_tests(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("docs.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn regression_").skip(1).chain(text.split("fn alone_regression_").skip(1));
            found.extend(names.map(|rest| rest.split('(').next().unwrap().to_owned()));
        }
    }
}

#[test]
fn every_named_regression_has_a_test_and_every_such_test_is_in_the_list() {
    let mut tests = Vec::new();
    regression_tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut tests);
    let page = read("docs/regressions.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let ids: Vec<String> =
        rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned)).collect();
    assert!(ids.len() > 20, "the list was not found: {ids:?}");
    // A name begins with the ids, one after the other, and goes on with a sentence.
    let named = |test: &str| {
        let words: Vec<&str> = test.split('_').collect();
        let is_id = |word: &&&str| ids.iter().any(|id| id.to_lowercase() == **word);
        words.iter().take_while(is_id).map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    for test in &tests {
        assert!(!named(test).is_empty(), "docs/regressions.md does not list what regression_{test} is named after");
    }
    let covered: Vec<String> = tests.iter().flat_map(|test| named(test)).collect();
    let missing: Vec<&String> = ids.iter().filter(|id| !covered.contains(&id.to_lowercase())).collect();
    assert!(missing.is_empty(), "no test is named after {missing:?}");
}

/// Names of all functions in sources below a folder.
fn functions(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).map(|rest| rest.split(['(', '<', ' ']).next().unwrap().to_owned());
            found.extend(names);
        }
    }
}

/// Reasons of steps and not of states: something is being done, or all is well.
const DOING: [&str; 22] = [
    "Shipping",
    "Completed",
    "Verified",
    "LastBackupSucceeded",
    "ArchiveVerified",
    "AsExpected",
    "CleaningUp",
    "Growing",
    "Guarding",
    "HandingOver",
    "Proving",
    "Quorum",
    "Ready",
    "Replacing",
    "Restarting",
    "Shrinking",
    "Steady",
    "TemplateChanged",
    "RestartPending",
    "QuorumAvailable",
    "Progressing",
    "Degraded",
];

#[test]
fn every_state_that_waits_stands_in_the_table_with_its_way_out_and_the_test_that_shows_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = read("docs/states.md");
    let mut reasons = Vec::new();
    for folder in ["src/plan", "src/operator/ensemble"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // Of the operator's other files the words are kinds and headers, not reasons.
            if folder == "src/plan" || path.ends_with("act.rs") || path.ends_with("report.rs") {
                reasons.extend(camel_case_words(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    let kinds = ["Pod", "PersistentVolumeClaim", "ZooKeeperEnsemble", "Secret"];
    let actions = [
        "Archive",
        "Wait",
        "Refuse",
        "Guard",
        "Tell",
        "Apply",
        "Delete",
        "AddPod",
        "RemovePod",
        "Join",
        "Leave",
        "ReplaceVolume",
        "Restart",
    ];
    let words = ["True", "False", "Unknown", "Warning"];
    reasons.retain(|word| ![&DOING[..], &kinds, &actions, &words].concat().contains(&word.as_str()));
    reasons.sort_unstable();
    reasons.dedup();
    for known in ["MemberNotSynced", "SuperUserDenied", "ApplyRefused", "InTurn"] {
        assert!(reasons.iter().any(|word| word == known), "{known} was not found: this test does not look right");
    }
    let missing: Vec<&String> = reasons.iter().filter(|word| !page.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/states.md does not say what gets out of {missing:?}");
    let mut tests = Vec::new();
    functions(&root.join("tests"), &mut tests);
    functions(&root.join("src"), &mut tests);
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 20, "the table was not found");
    for row in rows {
        let shown: Vec<&str> = row.split('|').nth(4).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!shown.is_empty(), "no test shows {row}");
        let absent = shown.iter().find(|name| !tests.iter().any(|test| test == *name));
        assert!(absent.is_none(), "docs/states.md names a test that is not there: {absent:?}");
    }
}

#[test]
fn every_kind_of_step_stands_beside_its_metric() {
    let source = read("src/plan/step.rs");
    let words = source.split("pub fn word(").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let words: Vec<&str> = words.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert!(words.len() > 10, "the words were not found: {words:?}");
    let page = read("docs/reference.md");
    let row = page.lines().find(|line| line.starts_with("| `menagerie_steps_total`")).unwrap();
    let missing: Vec<&&str> = words.iter().filter(|word| !row.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/reference.md does not name {missing:?}");
}

#[test]
fn no_page_lets_the_kubelet_end_a_server_by_a_probe() {
    // The server has none but that of readiness (`tests/render.rs`).
    for page in ["docs/reference.md", "docs/states.md", "docs/settings.md", "README.md"] {
        let text = read(page).to_lowercase();
        for words in ["kubelet kills", "kubelet ends", "startup probe", "liveness probe"] {
            assert!(!text.contains(words), "{page} says {words:?}");
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut pages = vec!["README.md".to_owned()];
    let docs = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    pages.extend(docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy())));
    for page in pages.iter().filter(|page| Path::new(page).extension().is_some_and(|end| end == "md")) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(page).parent().unwrap().to_owned();
        let text = read(page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let target =
                if file.is_empty() { Path::new(env!("CARGO_MANIFEST_DIR")).join(page) } else { folder.join(file) };
            assert!(target.exists(), "{page} links to {link}, which is not there");
            if !anchor.is_empty() {
                let headings = fs::read_to_string(&target).unwrap();
                assert!(
                    headings.lines().any(|line| line.starts_with('#') && slug(line) == anchor),
                    "{page}: no heading {link}"
                );
            }
        }
    }
}

/// A heading's anchor, as repository hosts make it.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect::<String>().replace(' ', "-")
}

//! The custom resource definitions in `crds/` are what the types say.

use std::path::Path;

#[test]
fn the_files_in_crds_are_what_menagerie_crd_prints() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/menagerie.dev.yaml");
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let printed = menagerie::api::crds_yaml().expect("the definitions can be printed");
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::write(&file, &printed).expect("crds/ can be written");
        return;
    }
    assert!(written == printed, "crds/menagerie.dev.yaml is out of date: run `dev/generate`");
}

/// The API server is the first to refuse; what it lets through in a stored spec, the table of settings refuses.
#[test]
fn what_the_schema_refuses_of_config_the_table_refuses_too() {
    let crd = menagerie::api::crds().remove(0);
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/config/x-kubernetes-validations";
    let rules = serde_json::to_value(crd).unwrap().pointer(spec).unwrap().clone();
    let mut tried = 0;
    for rule in rules.as_array().unwrap() {
        let names = rule["rule"].as_str().unwrap().split('\'').skip(1).step_by(2);
        for name in names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')) {
            let key = if name.ends_with('.') { format!("{name}x") } else { name.to_owned() };
            let spec = serde_json::json!({"replicas": 3, "version": "3.9.5", "config": {&key: "1"}});
            let error = menagerie::model::Desired::from_spec(&serde_json::from_value(spec).unwrap()).expect_err(&key);
            assert!(error.faults().iter().all(|fault| fault.field == "config"), "{error}");
            tried += 1;
        }
    }
    assert!(tried > 20, "only {tried} names were found: this test looks at nothing");
}

/// The page promised that an owned option may be asked for with the operator's own value: `forceSync: "yes"` was refused.
#[test]
fn no_page_promises_a_value_that_the_schema_refuses() {
    let crd = menagerie::api::crds().remove(0);
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/config/x-kubernetes-validations";
    let rules = serde_json::to_value(crd).unwrap().pointer(spec).unwrap().to_string();
    let refused = menagerie::settings::owned().filter(|(name, _)| rules.contains(&format!("'{name}'"))).count();
    assert!(refused > 5, "only {refused} owned options are refused: the page says that many are");
    let page = menagerie::settings::page();
    assert!(page.contains("the API server refuses in `config` with any value"), "the page does not say so");
    assert!(!page.contains("the same value is not refused"), "the page says otherwise");
}

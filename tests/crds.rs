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

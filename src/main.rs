//! The command line: one binary with several commands.

use clap::{Parser, Subcommand};

/// Runs Apache ZooKeeper ensembles on Kubernetes.
#[derive(Parser)]
#[command(name = "menagerie", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch the ensembles of a cluster and keep them as they are wanted.
    Operator(menagerie::operator::Options),
    /// Run beside one ZooKeeper server, in its pod.
    Agent(menagerie::agent::Options),
    /// Print the custom resource definitions as YAML.
    Crd,
    /// Print every option of ZooKeeper and what the operator does with it, as Markdown.
    Settings {
        /// Print only these options: names or parts of names, in upper or lower case. The columns are option, property,
        /// value, and what the operator does with it. Exits with 1 if no option has a name, and prints the nearest name if one is near
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    Log(menagerie::cli::log::Options),
    Snapshot(menagerie::cli::snapshot::Options),
    Index(menagerie::cli::index::Options),
    Archive(menagerie::archive::command::Options),
    Backup(menagerie::cluster::backup::Options),
    Restore(menagerie::cluster::restore::Options),
    Job(menagerie::job::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Operator(options) => menagerie::operator::main(options),
        Command::Agent(options) => menagerie::agent::main(options),
        Command::Log(options) => std::process::exit(menagerie::cli::log::main(options)),
        Command::Snapshot(options) => std::process::exit(menagerie::cli::snapshot::main(options)),
        Command::Index(options) => std::process::exit(menagerie::cli::index::main(options)),
        Command::Archive(options) => std::process::exit(menagerie::archive::command::main(options)),
        Command::Backup(options) => std::process::exit(menagerie::cluster::backup::main(options)),
        Command::Restore(options) => std::process::exit(menagerie::cluster::restore::main(options)),
        Command::Job(options) => std::process::exit(menagerie::job::main(options)),
        Command::Crd => {
            print!("{}", menagerie::api::crds_yaml()?);
            Ok(())
        }
        Command::Settings { names } if names.is_empty() => {
            print!("{}", menagerie::settings::page());
            Ok(())
        }
        Command::Settings { names } => {
            let matches = menagerie::settings::look(&names);
            print!("{}", matches.rows);
            for missed in &matches.missed {
                eprintln!("menagerie settings: {missed}");
            }
            std::process::exit(i32::from(!matches.missed.is_empty()))
        }
    }
}

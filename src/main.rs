//! The command line: one binary, several lives.

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
    /// Print what becomes of every option of ZooKeeper, as Markdown.
    Settings {
        /// Print the rows of these options alone: names or parts of names, in capitals or small letters. The columns are
        /// option, property, value, and what becomes of it. Exits with 1 if a name is in no row, and says the nearest
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    Log(menagerie::cli::log::Options),
    Snapshot(menagerie::cli::snapshot::Options),
    Index(menagerie::cli::index::Options),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Operator(options) => menagerie::operator::main(options),
        Command::Agent(options) => menagerie::agent::main(options),
        Command::Log(options) => std::process::exit(menagerie::cli::log::main(options)),
        Command::Snapshot(options) => std::process::exit(menagerie::cli::snapshot::main(options)),
        Command::Index(options) => std::process::exit(menagerie::cli::index::main(options)),
        Command::Crd => {
            print!("{}", menagerie::api::crds_yaml()?);
            Ok(())
        }
        Command::Settings { names } if names.is_empty() => {
            print!("{}", menagerie::settings::page());
            Ok(())
        }
        Command::Settings { names } => {
            let found = menagerie::settings::look(&names);
            print!("{}", found.rows);
            for missed in &found.missed {
                eprintln!("menagerie settings: {missed}");
            }
            std::process::exit(i32::from(!found.missed.is_empty()))
        }
    }
}

//! What every object that a command creates is asked for with.

use clap::Args;
use kube::api::ObjectMeta;
use kube::core::DynamicObject;
use zookeeper_files::disk::Point;

use super::connection::{Cluster, ClusterOptions, name};
use super::followed::{Followed, WaitOptions, follow};
use super::objects::name_of;
use super::teller::{say, say_aside};
use crate::cli::point::PointArg;
use crate::cli::{CommandError, Exit};
use crate::view::time::iso_text;

/// The longest name, from which Jobs are named.
const LONGEST: usize = 50;
/// What the API server adds to a name that it makes up, with the '-' before it.
const MADE_UP: usize = 6;
/// So far the clocks of two machines may be apart.
const LEEWAY_MILLIS: i64 = 60_000;

/// Whom it is for, and how it is called.
#[derive(Args, Debug)]
pub(super) struct NewOptions {
    /// The `ZooKeeperEnsemble`
    #[arg(value_name = "ENSEMBLE", value_parser = name)]
    pub(super) ensemble: String,
    /// Its name, of at most 50 characters; without it, the ensemble's with five letters behind it
    #[arg(long, value_name = "NAME", value_parser = short)]
    name: Option<String>,
    /// A label that it gets; can be repeated. An operator with a selector looks after nothing that does not meet it
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) cluster: ClusterOptions,
    #[command(flatten)]
    wait: WaitOptions,
}

fn short(text: &str) -> Result<String, String> {
    name(text).and_then(|name| {
        let fits = name.len() <= LONGEST;
        fits.then_some(name).ok_or_else(|| format!("a name has at most {LONGEST} characters: Jobs are named after it"))
    })
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("a label is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl NewOptions {
    pub(super) fn metadata(&self) -> ObjectMeta {
        let made_up = || {
            let begin: String = self.ensemble.chars().take(LONGEST - MADE_UP).collect();
            format!("{begin}-")
        };
        let labels = (!self.label.is_empty()).then(|| self.label.iter().cloned().collect());
        ObjectMeta {
            generate_name: self.name.is_none().then(made_up),
            name: self.name.clone(),
            labels,
            ..ObjectMeta::default()
        }
    }

    /// Prints its name, and follows it where that is asked for.
    pub(super) async fn created<K: Followed>(
        &self,
        cluster: &Cluster,
        made: &DynamicObject,
    ) -> Result<Exit, CommandError> {
        let name = name_of(made);
        let command = K::COMMAND;
        // It is created, whether or not its name can be read.
        let written = say(name);
        let exit = if let Some(patience) = self.wait.patience() {
            follow::<K>(cluster, made, patience, true).await?
        } else {
            say_aside(&format!("menagerie {command} watch {name} {} follows it", cluster.arguments()));
            Exit::Sound
        };
        written.map_err(|error| CommandError::Usage(format!("{command} {name} is created; cannot write: {error}")))?;
        Ok(exit)
    }
}

/// A point as a spec has it; `None` is now. The operator would wait for a time that is still to come.
pub(super) fn point(PointArg(point): PointArg, now: i64) -> Result<Option<String>, String> {
    match point {
        Point::End => Ok(None),
        Point::Zxid(zxid) => Ok(Some(format!("{zxid:#}"))),
        Point::Time(time) if time > now.saturating_add(LEEWAY_MILLIS) => {
            let [time, now] = [time, now].map(iso_text);
            Err(format!(
                "--at {time} is still to come, it is {now}: is its zone right? Z is UTC, and +02:00 is two hours before it"
            ))
        }
        Point::Time(time) => Ok(Some(iso_text(time))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        options: NewOptions,
    }

    #[test]
    fn a_name_that_is_made_up_is_no_longer_than_an_object_may_be_called() {
        let made = |ensemble: &str| Given::parse_from(["create", ensemble]).options.metadata();
        assert_eq!(made("zk").generate_name.as_deref(), Some("zk-"));
        let longest = made(&"a".repeat(LONGEST)).generate_name.unwrap();
        assert_eq!(longest.len() + "abcde".len(), LONGEST);
        let named = Given::parse_from(["create", "zk", "--name", "one", "--label", "team=a"]).options.metadata();
        assert_eq!((named.name.as_deref(), named.generate_name), (Some("one"), None));
        assert_eq!(named.labels.unwrap()["team"], "a");
        assert!(Given::try_parse_from(["create", "zk", "--name", &"a".repeat(LONGEST + 1)]).is_err());
    }

    #[test]
    fn a_point_is_written_as_the_api_server_takes_it_and_none_that_is_still_to_come() {
        let now = 1_795_463_520_000;
        let at = |text: &str| point(text.parse().unwrap(), now);
        assert_eq!(at("end"), Ok(None));
        assert_eq!(at("0x10000002a"), Ok(Some("0x10000002a".to_owned())));
        assert_eq!(at("2026-11-23T20:52:00+01:00"), Ok(Some("2026-11-23T19:52:00.000Z".to_owned())));
        let ahead = at("2026-11-23T20:52:00Z").unwrap_err();
        assert!(ahead.contains("still to come") && ahead.contains("is its zone right"), "{ahead}");
    }
}

//! The planner against a small world of its own: objects, pods and members that do what they are told.

mod exits;
mod fit;
mod guard;
mod healing;
mod hindered;
mod laws;
mod origin;
mod passing;
mod regressions;
mod replacing;
mod rolling;
mod scenarios;
mod service;
mod strangers;
mod world;

//! What answers each address, one file for each part of the contract.

pub(super) mod executions;
pub(super) mod quarantine;

pub(super) mod export;
pub(super) mod query;

pub(super) mod auth;
pub(super) mod keys;

pub(super) mod appliance;
pub(super) mod control;
pub(super) mod docs;

use super::problem::Problem;

/// Reads the parameter `limit` of a list.
fn limit_param(text: &str, most: usize) -> Result<usize, Problem> {
    match text.parse::<usize>() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        Ok(_) => {
            let detail = format!("must be between 1 and {most}");
            Err(Problem::invalid("/limit", "out_of_range", detail))
        }
        Err(_) => Err(Problem::invalid("/limit", "wrong_type", "must be a whole number")),
    }
}

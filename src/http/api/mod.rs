//! What answers each address, one file for each part of the contract.

pub(super) mod executions;
pub(super) mod quarantine;

pub(super) mod export;
pub(super) mod query;

pub(super) mod audit;
pub(super) mod auth;
pub(super) mod keys;
pub(super) mod sessions;
pub(super) mod signing_keys;

pub(super) mod appliance;
pub(super) mod control;
pub(super) mod docs;

use super::problem::Problem;
use super::request::Request;

/// Which page of a list is wanted.
struct PageParams {
    limit: usize,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Items of a page unless the caller says otherwise.
const PAGE_DEFAULT: usize = 100;

impl PageParams {
    /// The parameters of a list whose pages have at most `limit_max` items.
    fn of(request: &Request, limit_max: usize) -> Result<Self, Problem> {
        Self::from_pairs(request.params()?, limit_max)
    }

    fn from_pairs(params: Vec<(String, String)>, limit_max: usize) -> Result<Self, Problem> {
        demand_once(&params)?;
        let mut page = Self { limit: PAGE_DEFAULT.min(limit_max), cursor: None };
        for (name, value) in params {
            match name.as_str() {
                "limit" => page.limit = limit(&value, limit_max)?,
                "cursor" => page.cursor = Some(value),
                name => return Err(Problem::unknown_param(name)),
            }
        }
        Ok(page)
    }

    /// What `read` makes of the cursor, which must be one of the list's.
    fn after<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let invalid = || Problem::invalid("/cursor", "invalid_cursor", "is none of this list's");
        self.cursor.as_deref().map(|cursor| read(cursor).ok_or_else(invalid)).transpose()
    }
}

/// Fails where a parameter is there more than once: nobody could say which is meant.
fn demand_once(params: &[(String, String)]) -> Result<(), Problem> {
    let twice = params.iter().enumerate().find(|(at, (name, _))| {
        params[..*at].iter().any(|(earlier, _)| earlier == name) // at most `PARAMS_MAX`
    });
    match twice {
        None => Ok(()),
        Some((_, (name, _))) => {
            let detail = "is there more than once: send it once";
            Err(Problem::invalid(&format!("/{name}"), "duplicate_parameter", detail))
        }
    }
}

fn limit(text: &str, most: usize) -> Result<usize, Problem> {
    match text.parse::<usize>() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        Ok(_) => {
            let detail = format!("must be between 1 and {most}");
            Err(Problem::invalid("/limit", "out_of_range", detail))
        }
        Err(_) => Err(Problem::invalid("/limit", "wrong_type", "must be a whole number")),
    }
}

//! What answers each address, one file for each part of the contract.

pub(super) mod executions;
pub(super) mod quarantine;

pub(super) mod export;
pub(super) mod query;

pub(super) mod accept;
pub(super) mod audit;
pub(super) mod auth;
pub(super) mod keys;
pub(super) mod limits;
pub(super) mod migrations;
pub(super) mod otp;
mod people;
pub(super) mod roles;
pub(super) mod row_policy;
pub(super) mod sessions;
pub(super) mod sign_in_rules;
pub(super) mod signing_keys;
pub(super) mod sso;
pub(super) mod sso_check;
mod sso_page;
pub(super) mod sso_providers;
mod sso_return;
pub(super) mod teams;
pub(super) mod tenants;
pub(super) mod users;

pub(super) mod appliance;
pub(super) mod control;
pub(super) mod docs;

use super::problem::Problem;
use super::request::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

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

    /// The text after which the page begins, of a list that stands in the order of texts.
    fn after_text(&self) -> Result<Option<String>, Problem> {
        self.after(|cursor| String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok())
    }

    /// The page of `items`, which stand in the order of `key` and begin with the page's first; there
    /// is one more than it takes, if there are more.
    fn page_of<T>(
        &self,
        items: &[T],
        key: impl Fn(&T) -> String,
        show: impl Fn(&T) -> Value,
    ) -> Value {
        let page = &items[..items.len().min(self.limit)];
        let last = page.last().filter(|_| items.len() > page.len());
        let next_cursor = last.map(|item| URL_SAFE_NO_PAD.encode(key(item)));
        let items: Vec<Value> = page.iter().map(show).collect();
        json!({ "items": items, "next_cursor": next_cursor })
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

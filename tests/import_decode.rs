//! What becomes of bad files: exactly which record is refused, at which line, by which code and
//! pointer; that what is kept aside is kept with its text; and that nothing is stored that was
//! refused.

#[path = "import_decode/csv.rs"]
mod csv;
#[path = "import_decode/json.rs"]
mod json;
#[path = "import_decode/packed.rs"]
mod packed;
#[path = "import_decode/properties.rs"]
mod properties;
#[path = "intake_support/mod.rs"]
mod support;
#[path = "import_decode/swf.rs"]
mod swf;
#[path = "import_decode/table.rs"]
mod table;
#[path = "import_decode/times.rs"]
mod times;

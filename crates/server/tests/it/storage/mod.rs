//! What lies in the database, and what it is worth without the keys that are not in it.

mod peppers;
mod sealing;
mod secrets;

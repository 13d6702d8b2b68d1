//! The ingest route.

mod answer;
mod body;
mod head;
mod rejections;
mod target;

//! Tests of the layer as a whole: what only several of its modules together show.

mod profile;

//! arvideo

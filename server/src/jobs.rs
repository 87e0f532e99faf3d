//! What a registry does besides answering: nobody asks for it, and none of it holds a request up.

pub(crate) mod deliver;

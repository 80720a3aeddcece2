//! What the index finds in the files of real servers is what a scan of them finds.

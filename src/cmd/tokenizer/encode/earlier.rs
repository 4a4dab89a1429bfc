use std::collections::BTreeMap;
use std::path::PathBuf;

use video::{TokenHeader, TokenStore, VideoError};

/// Token stores that were made before, by what their segments show.
pub(super) struct Earlier {
    stores: Vec<TokenStore>,
    /// Store and segment by source hash.
    places: BTreeMap<String, (usize, usize)>,
}

impl Earlier {
    /// # Errors
    /// [`VideoError::TokenMismatch`] for stores that were not made as `header` says; what opening one may meet.
    pub(super) fn open(paths: &[PathBuf], header: &TokenHeader) -> Result<Self, VideoError> {
        let stores: Vec<TokenStore> = paths.iter().map(|path| TokenStore::open(path)).collect::<Result<_, _>>()?;
        stores.iter().try_for_each(|store| store.header().expect_same_encoding(header))?;
        let mut places = BTreeMap::new();
        for (i, store) in stores.iter().enumerate() {
            places.extend(store.source_hashes().iter().enumerate().map(|(k, hash)| (hash.clone(), (i, k))));
        }
        Ok(Earlier { stores, places })
    }

    /// Where the tokens of those frames are: a store and a segment of it.
    pub(super) fn find(&self, source_hash: &str) -> Option<(&TokenStore, usize)> {
        self.places.get(source_hash).map(|(store, segment)| (&self.stores[*store], *segment))
    }
}

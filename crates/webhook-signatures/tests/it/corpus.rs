//! The fuzz targets over their corpus, as ordinary tests: what was found once is not lost again.

#[expect(unreachable_pub, reason = "it is the fuzz crate's own file")]
#[path = "../../../../fuzz/src/lib.rs"]
mod targets;

use std::path::PathBuf;

#[test]
fn the_corpus_passes() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets::ALL {
        let files = std::fs::read_dir(folder.join(name)).unwrap();
        let mut seen = 0;
        for file in files {
            target(&std::fs::read(file.unwrap().path()).unwrap());
            seen += 1;
        }
        assert!(seen > 0, "{name} has no corpus");
    }
}

//! The corpus of the fuzz targets and all their findings, once, without sanitizers. `tests/fuzz/run.sh` has the rest.

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let fuzz = Path::new(mde_tests::ROOT).join("tests/fuzz");
    let mut count = 0;
    for folder in ["corpus", "findings"] {
        let Ok(inputs) = fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for path in inputs.map(|entry| entry.unwrap().path()) {
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
            count += 1;
        }
    }
    assert!(count > 3, "{count} inputs of {target}");
}

macro_rules! replayed {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target), targets::$target::run);
            }
        )*

        /// None is forgotten.
        #[test]
        fn every_target_is_replayed() {
            let here = [$(stringify!($target)),*].map(str::to_owned).to_vec();
            let corpus = Path::new(mde_tests::ROOT).join("tests/fuzz/corpus");
            let names = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().file_name());
            let mut there: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
            there.sort();
            assert_eq!(there, here);
        }
    };
}

replayed! {
    c_calls certificates devices fetch headers journal json_get options proxies quota_file redirects replies states zip
}

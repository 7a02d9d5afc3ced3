//! The pictures about performance are drawn from what the benches have printed.

use std::fs;

use mde_tests::programs::{ROOT, Scratch, run, tool};

#[test]
fn the_pictures_are_those_of_the_figures() {
    let folder = Scratch::new("plots");
    let mut python = tool("python3", "python3");
    run(python.arg(format!("{ROOT}/benches/plots.py")).arg(&folder.0)).expect(0);
    let page = fs::read_to_string(format!("{ROOT}/docs/performance.md")).unwrap();
    let mut pictures = 0;
    for drawn in fs::read_dir(&folder.0).unwrap() {
        let drawn = drawn.unwrap();
        let name = drawn.file_name().into_string().unwrap();
        let committed = fs::read_to_string(format!("{ROOT}/docs/{name}")).unwrap();
        let text = fs::read_to_string(drawn.path()).unwrap();
        assert_eq!(text, committed, "docs/{name}: run benches/plots.py");
        assert!(page.contains(&format!("({name})")), "docs/performance.md does not show {name}");
        pictures += 1;
    }
    assert_eq!(pictures, 4);
}

//! The pages that `docs/Doxyfile` makes of the header.

use std::fs;

use mde_tests::programs::{ROOT, Scratch, run, tool};

#[test]
fn pages_of_the_header_are_made_without_a_warning() {
    let folder = Scratch::new("doxygen");
    let settings = fs::read_to_string(format!("{ROOT}/docs/Doxyfile")).unwrap();
    assert!(settings.contains("WARN_AS_ERROR          = FAIL_ON_WARNINGS"));
    let file = folder.0.join("Doxyfile");
    let output = folder.0.display();
    fs::write(&file, format!("{settings}\nOUTPUT_DIRECTORY = \"{output}\"\n")).unwrap();
    run(tool("doxygen", "doxygen").current_dir(ROOT).arg(&file)).expect(0);

    let page = fs::read_to_string(folder.0.join("html/mde_8h.html")).unwrap();
    let about = |name: &str| page.contains(&format!("&#9670;&nbsp;</a></span>{name}</h2>"));
    for function in include_str!("../abi/exports.txt").lines() {
        assert!(about(&format!("{function}()")), "no section about {function}");
    }
    for line in include_str!("../abi/constants.txt").lines() {
        let constant = line.split(' ').next().unwrap();
        assert!(about(constant), "no section about {constant}");
    }
    assert!(!about("mde_no_such_function()"), "the search does not work");
    let first = fs::read_to_string(folder.0.join("html/index.html")).unwrap();
    assert!(first.contains("The contract"), "the first page is not the README");
}

//! The C programs again, in the slow ways. All tests are in one module, so that `tests/run.sh core` can
//! leave them out with `--skip full::`; a plain `cargo test` runs them.

mod full {
    /// Forked children are left out: valgrind would judge the parent's memory twice.
    mod valgrind {
        use mde_tests::programs::How::{Valgrind, ValgrindForTls};
        use mde_tests::programs::{checks, fetching, fleets, scenarios};

        #[test]
        fn null_arguments() {
            scenarios::null_arguments(Valgrind);
        }

        #[test]
        fn bad_input() {
            scenarios::bad_input(Valgrind);
        }

        #[test]
        fn lifecycle() {
            scenarios::lifecycle(Valgrind);
        }

        #[test]
        fn a_job_over_several_devices() {
            scenarios::fleet(Valgrind);
        }

        #[test]
        fn user_data() {
            scenarios::user_data(Valgrind);
        }

        #[test]
        fn the_example() {
            scenarios::example_collects(Valgrind);
            scenarios::example_collects_over_tls(ValgrindForTls);
            scenarios::example_can_be_interrupted(Valgrind);
        }

        #[test]
        fn the_example_that_checks() {
            checks::succeeds(Valgrind);
        }

        #[test]
        fn the_example_that_fetches() {
            fetching::succeeds(Valgrind);
            fetching::resumes_after_ctrl_c(Valgrind);
        }

        #[test]
        fn the_example_for_a_fleet() {
            fleets::succeeds(Valgrind);
            fleets::resumes_after_ctrl_c(Valgrind);
        }

        /// Bad input to the examples, which start some forty times. The sanitizers look at the same in each run.
        mod release_only {
            use super::*;

            #[test]
            fn the_example() {
                scenarios::example_fails_helpfully(Valgrind);
                scenarios::example_explains_its_usage(Valgrind);
            }

            #[test]
            fn the_example_that_checks() {
                checks::names_the_cause(ValgrindForTls);
            }

            #[test]
            fn the_example_that_fetches() {
                fetching::fails_helpfully(Valgrind);
                fetching::explains_its_usage(Valgrind);
            }

            #[test]
            fn the_example_for_a_fleet() {
                fleets::fails_helpfully(Valgrind);
            }
        }
    }

    mod sanitizers {
        use mde_tests::programs::How::Sanitized;
        use mde_tests::programs::{checks, fetching, fleets, scenarios};

        #[test]
        fn null_arguments() {
            scenarios::null_arguments(Sanitized);
        }

        #[test]
        fn bad_input() {
            scenarios::bad_input(Sanitized);
        }

        #[test]
        fn lifecycle() {
            scenarios::lifecycle(Sanitized);
        }

        #[test]
        fn a_job_over_several_devices() {
            scenarios::fleet(Sanitized);
        }

        #[test]
        fn user_data() {
            scenarios::user_data(Sanitized);
        }

        #[test]
        fn the_example() {
            scenarios::example_collects(Sanitized);
            scenarios::example_collects_over_tls(Sanitized);
            scenarios::example_fails_helpfully(Sanitized);
            scenarios::example_explains_its_usage(Sanitized);
            scenarios::example_can_be_interrupted(Sanitized);
        }

        #[test]
        fn the_example_that_checks() {
            checks::succeeds(Sanitized);
            checks::names_the_cause(Sanitized);
        }

        #[test]
        fn the_example_that_fetches() {
            fetching::succeeds(Sanitized);
            fetching::fails_helpfully(Sanitized);
            fetching::resumes_after_ctrl_c(Sanitized);
            fetching::explains_its_usage(Sanitized);
        }

        #[test]
        fn the_example_for_a_fleet() {
            fleets::succeeds(Sanitized);
            fleets::fails_helpfully(Sanitized);
            fleets::resumes_after_ctrl_c(Sanitized);
        }
    }

    mod threads {
        use mde_tests::programs::How::ThreadSanitized;
        use mde_tests::programs::scenarios;

        #[test]
        fn a_race_is_found() {
            scenarios::race(ThreadSanitized);
        }

        #[test]
        fn lifecycle() {
            scenarios::lifecycle(ThreadSanitized);
        }

        #[test]
        fn a_job_over_several_devices() {
            scenarios::fleet(ThreadSanitized);
        }

        #[test]
        fn user_data() {
            scenarios::user_data(ThreadSanitized);
        }
    }

    mod static_library {
        use mde_tests::programs::How::Static;
        use mde_tests::programs::scenarios;
        use mde_tests::programs::{ROOT, static_library};

        #[test]
        fn null_arguments() {
            scenarios::null_arguments(Static);
        }

        #[test]
        fn lifecycle() {
            scenarios::lifecycle(Static);
        }

        #[test]
        fn fork() {
            scenarios::fork(Static);
        }

        /// The one place that tells how to link it has to be right.
        #[test]
        fn what_else_to_link_is_documented() {
            let page = std::fs::read_to_string(format!("{ROOT}/examples/c/README.md")).unwrap();
            let (_, needed) = static_library();
            let flags = format!("libmde.a -pthread {}", needed.join(" "));
            assert!(page.contains(&flags), "examples/c/README.md lacks `{flags}`");
        }
    }
}

//! The library on the other systems that it is built for: the C programs under Wine and qemu. Which target is
//! tested how, `docs/platforms.md` says.

mod full {
    macro_rules! programs {
        ($how:expr) => {
            use mde_tests::programs::{fetching, fleets, scenarios, waits};

            #[test]
            fn null_arguments() {
                scenarios::null_arguments($how);
            }

            #[test]
            fn bad_input() {
                scenarios::bad_input($how);
            }

            #[test]
            fn lifecycle() {
                scenarios::lifecycle($how);
            }

            #[test]
            fn a_job_over_several_devices() {
                scenarios::fleet($how);
            }

            #[test]
            fn user_data() {
                scenarios::user_data($how);
            }

            #[test]
            fn every_wait_can_be_stopped() {
                waits::stops($how);
            }

            #[test]
            fn the_example() {
                scenarios::example_collects($how);
                scenarios::example_collects_over_tls($how);
                scenarios::example_fails_helpfully($how);
                scenarios::example_explains_its_usage($how);
            }

            #[test]
            fn the_example_can_be_interrupted() {
                scenarios::example_can_be_interrupted($how);
            }

            #[test]
            fn the_example_fetches() {
                fetching::succeeds($how);
            }

            #[test]
            fn the_example_that_fetches_fails_helpfully() {
                fetching::fails_helpfully($how);
            }

            #[test]
            fn the_example_that_fetches_resumes() {
                fetching::resumes_after_ctrl_c($how);
                fetching::resumes_after_a_kill($how);
            }

            #[test]
            fn the_example_that_fetches_a_fleet() {
                fleets::succeeds($how);
                fleets::fails_helpfully($how);
                fleets::resumes_after_ctrl_c($how);
            }

            #[test]
            fn any_name_and_any_length_of_a_path() {
                fetching::takes_any_path($how);
            }

            #[test]
            fn processes_share_a_quota_file() {
                scenarios::shares_a_quota_file($how);
            }
        };
    }

    mod windows {
        use mde_tests::programs::How::Wine;
        use mde_tests::programs::{ROOT, compile, compile_also, run, start, targets, tool};
        use std::collections::BTreeSet;

        programs!(Wine);

        #[test]
        fn dotnet() {
            crate::dotnet::scenarios::fetches_on_windows();
        }

        #[test]
        fn a_host_may_unload_it_and_have_small_stacks() {
            scenarios::windows_host();
        }

        /// Wine runs the script, but takes only the first proxy of several.
        #[test]
        fn the_proxy_is_that_of_the_users_script() {
            scenarios::windows_proxy_script();
        }

        /// What Wine gives of it: NTLM for a user with a password, and no Kerberos.
        #[test]
        fn a_login_at_a_proxy_is_that_of_windows() {
            scenarios::windows_proxy_login();
        }

        /// What programs with a key of their own share, and the libraries of CNG.
        const SIGNING: &str = "examples/c/signing.c";
        const CNG: [&str; 2] = ["-lncrypt", "-lbcrypt"];

        /// Wine has CNG, but stores no keys.
        #[test]
        fn the_example_for_cng_finds_no_key() {
            let program = compile_also(&["examples/c/cng.c", SIGNING], Wine, &[], &CNG);
            let mut command = start(&program, Wine);
            command.env("CNG_PROVIDER", "Microsoft Software Key Storage Provider");
            let finished = run(command.env("CNG_KEY", "agent")).expect(1);
            scenarios::has(&finished.stderr, "NCryptOpenKey failed with 0x");
        }

        /// Wine takes no notice of the length of the salt.
        #[test]
        fn the_example_for_cng_signs() {
            use ring::signature::{
                RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
                RsaPublicKeyComponents as Components,
            };

            let program = compile_also(&["tests/c/cng_signs.c", SIGNING], Wine, &[], &CNG);
            let printed = run(&mut start(&program, Wine)).expect(0).stdout;
            let lines: Vec<_> = printed.lines().collect();
            assert_eq!(lines.len(), 2, "{printed}");
            for (line, algorithm, parameters) in [
                (lines[0], "PS256 ", &RSA_PSS_2048_8192_SHA256),
                (lines[1], "RS256 ", &RSA_PKCS1_2048_8192_SHA256),
            ] {
                let words = line.strip_prefix(algorithm).unwrap().split(' ');
                let [blob, signature] = words.map(bytes).collect::<Vec<_>>().try_into().unwrap();
                // BCRYPT_RSAKEY_BLOB: six numbers, of which the third is the length of the exponent, then that and the
                // modulus.
                let (e, n) = blob[24..].split_at(usize::from(blob[8]));
                Components { n, e }.verify(parameters, b"data", &signature).unwrap();
            }
        }

        fn bytes(digits: &str) -> Vec<u8> {
            let pairs = (0..digits.len()).step_by(2);
            pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
        }

        #[test]
        fn a_certificate_that_the_store_lacks_is_told() {
            let sources = ["examples/c/collect.c", "examples/c/tool.c"];
            let program = compile(&sources, Wine);
            for (name, part) in [
                ("CurrentUser/My/", "names a certificate that this store does not have"),
                ("LocalMachine/My/", "names a certificate that this store does not have"),
                ("LocalMachine/None/", "names a certificate that this store does not have"),
                (
                    "Users/My/",
                    "names no certificate of Windows' store; expected store:CurrentUser/My/",
                ),
            ] {
                let mut command = start(&program, Wine);
                command.args([
                    "--tenant",
                    "t",
                    "--client",
                    "c",
                    "--machine",
                    "m",
                    "--comment",
                    "c",
                ]);
                let option = format!("client_certificate=store:{name}{}", "ab".repeat(20));
                let finished = run(command.args(["--option", &option])).expect(2);
                scenarios::has(&finished.stderr, part);
            }
        }

        /// Exports what is documented, and needs nothing that Windows does not have.
        #[test]
        fn what_it_exports_and_needs() {
            let target = targets::of(Wine).unwrap();
            let mut objdump = tool("x86_64-w64-mingw32-objdump", "mingw-w64");
            let said = run(objdump.arg("-p").arg(target.folder().join("mde.dll"))).expect(0).stdout;
            let exported: BTreeSet<&str> = said
                .lines()
                .skip_while(|line| !line.starts_with("[Ordinal/Name Pointer] Table"))
                .skip(1)
                .take_while(|line| !line.trim().is_empty())
                .filter_map(|line| line.split_whitespace().last())
                .collect();
            let documented =
                std::fs::read_to_string(format!("{ROOT}/tests/abi/exports.txt")).unwrap();
            assert_eq!(exported, documented.lines().collect());
            let needed: BTreeSet<String> = said
                .lines()
                .filter_map(|line| Some(line.split_once("DLL Name: ")?.1.to_ascii_lowercase()))
                .collect();
            let system = [
                "advapi32.dll",
                "api-ms-win-core-synch-l1-2-0.dll",
                "bcrypt.dll",
                "bcryptprimitives.dll",
                "crypt32.dll",
                "kernel32.dll",
                "msvcrt.dll",
                "ncrypt.dll",
                "ntdll.dll",
                "secur32.dll",
                "userenv.dll",
                "winhttp.dll",
                "ws2_32.dll",
            ];
            let foreign: Vec<_> =
                needed.iter().filter(|name| !system.contains(&name.as_str())).collect();
            assert!(foreign.is_empty(), "{foreign:?}");
        }
    }

    mod aarch64 {
        use mde_tests::programs::How::{Aarch64, Aarch64Static};

        programs!(Aarch64);

        #[test]
        fn fork() {
            scenarios::fork(Aarch64);
        }

        #[test]
        fn harsh_host() {
            scenarios::harsh_host(Aarch64);
        }

        #[test]
        fn threads_may_end_in_callbacks() {
            scenarios::thread_ends(Aarch64);
        }

        #[test]
        fn static_library() {
            scenarios::null_arguments(Aarch64Static);
            scenarios::lifecycle(Aarch64Static);
        }
    }
}

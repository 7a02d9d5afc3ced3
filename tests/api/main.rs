//! The functions, called through the C ABI, against the simulator.

/// Actions that are cancelled.
mod cancel_action;
/// Collections that are started.
mod collect;
/// Downloads, whole and cut off.
mod download;
/// Downloads from real hosts, and after the end of a process or a disk.
mod download_hosts;
/// Downloads that resume.
mod download_pieces;
/// Links that are not valid yet.
mod early_links;
/// From a device to a file in one call.
mod fetch;
/// Progress of a fetch that waits for the quota.
mod fetch_quota;
/// File systems that lack something, and limits on files.
mod file_systems;
/// Packages of many devices.
mod fleet;
/// Such a job while something goes wrong on the way.
mod fleet_faults;
/// What such a job says of bad input.
mod fleet_input;
/// Such a job where the reply to a request for a collection is lost.
mod fleet_lost;
/// Such a job whose process is killed, or which others share the quota with.
mod fleet_processes;
/// The tokens of such a job from the host's callback.
mod fleet_tokens;
/// The inputs of the fuzz targets.
mod fuzz_corpus;
/// Names that are too long, and other things that have them.
mod in_the_way;
/// The check of a package.
mod inspect;
/// Links to packages.
mod links;
/// Collections whose reply is lost.
mod lost_replies;
/// Devices that are looked up.
mod machines;
/// Files that other users have made.
mod planted;
/// The record of what was collected.
mod record;
/// Replies that were recorded.
mod recorded;
/// Packages that are damaged, or could do harm where they are unpacked.
mod refused;
/// Downloads after a refused one.
mod refused_again;
/// The same where a process ends on its way.
mod refused_ends;
/// Replies of every kind, and retries.
mod replies;
/// Devices that are selected by tag, platform, group or filter.
mod selections;
/// A package in every state it can be in.
mod states;
/// What other programs make of packages that are safe.
mod unpackers;
/// The program that verifies a record.
mod verifier;
/// Waits for an action to end.
mod wait;
/// Replies about another action or device.
mod wrong_device;

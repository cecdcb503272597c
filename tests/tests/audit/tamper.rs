//! Ten thousand records over five full files, written by the real program under load. Each kind of change is found, and
//! file and number are named.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::LazyLock,
    thread,
    time::Duration,
};

use e2e::{
    mcp::Client,
    minter,
    paths::temporary_folder,
    server::{Server, guarded},
};
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use mcp_core::secret::Secret;
use promgate::{
    access_log::chain::{AuditKey, ChainStart, Event, Sealed, Sealer, State, head_path, log_files},
    config::SinkFormat,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::read_back::{OTHER, SECRET, sealed_sink, verified};

const RECORDS: usize = 10_000;
const FILES: usize = 5;
const THREADS: usize = 8;

/// So many bytes of a file give [`FILES`] full ones: a record takes about seven hundred.
const FILE_BYTES: &str = "1200KiB";

/// The log that is copied and changed.
static LOG: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = temporary_folder();
    let mut config = guarded(&json!({ "main": { "url": "http://127.0.0.1:9" } }));
    config["middleware"]["access_logs"] = sealed_sink(folder.path(), json!({ "size": FILE_BYTES }));
    let server = Server::promgate(&config);
    let address = server.mcp;
    thread::scope(|scope| {
        for number in 0..THREADS {
            scope.spawn(move || {
                let token = minter::token(&format!("person-{number}"));
                let client = Client::stateless(address).bearing(&token);
                for _ in 0..RECORDS / THREADS {
                    assert_eq!(client.call("tools/list", json!({})).status(), 200);
                }
            });
        }
    });
    server.terminate();
    let status = server.exit(Duration::from_mins(1));
    assert!(status.success(), "{status}");
    folder
});

/// A copy of the log that may be changed.
struct Copy {
    folder: TempDir,
}

impl Copy {
    fn new() -> Self {
        let folder = temporary_folder();
        for entry in fs::read_dir(LOG.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { folder }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    /// Its files, oldest first.
    fn files(&self) -> Vec<PathBuf> {
        log_files(&self.log()).unwrap()
    }

    fn change(&self, file: usize, change: impl FnOnce(&mut Vec<String>)) {
        let path = &self.files()[file];
        let mut lines = lines(path);
        change(&mut lines);
        write(path, &(lines.join("\n") + "\n"));
    }

    /// The first thing that is found: file, number, and what it is in one word.
    fn first(&self) -> (String, Option<u64>, String) {
        first(&verified(&self.log(), SECRET, &[]))
    }

    fn name(&self, file: usize) -> String {
        name(&self.files()[file])
    }
}

fn first(said: &Value) -> (String, Option<u64>, String) {
    assert!(said["faults"].as_u64().unwrap() > 0, "{said}");
    let found = &said["found"][0];
    let file = name(Path::new(found["file"].as_str().unwrap()));
    (file, found["seq"].as_u64(), found["kind"].as_str().unwrap().to_owned())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "gz")
}

fn lines(path: &Path) -> Vec<String> {
    let file = File::open(path).unwrap();
    let text = if is_packed(path) {
        io::read_to_string(MultiGzDecoder::new(file)).unwrap()
    } else {
        io::read_to_string(file).unwrap()
    };
    text.lines().map(str::to_owned).collect()
}

fn write(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    if is_packed(path) {
        let mut packer = GzEncoder::new(file, Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap();
    } else {
        file.write_all(text.as_bytes()).unwrap();
    }
}

fn seq(line: &str) -> u64 {
    Sealed::of(line.as_bytes()).unwrap().seq
}

/// Place of a record of a request, about so far into the file, with a record on either side.
fn record(lines: &[String], from: usize) -> usize {
    let is_record = |place: usize| !lines[place].starts_with(r#"{"v":1,"event""#);
    (from..lines.len() - 1).find(|place| (place - 1..=place + 1).all(is_record)).unwrap()
}

#[test]
fn the_log_as_it_was_written_is_good_and_whole() {
    let copy = Copy::new();
    let said =
        verified(&copy.log(), SECRET, &["--checkpoint", head_path(&copy.log()).to_str().unwrap()]);
    assert_eq!(said["good"], true, "{said}");
    assert_eq!(said["records"], RECORDS, "{said}");
    assert!(said["files"].as_array().unwrap().len() > FILES, "{said}");
    assert!(said["checkpoints"]["checked"].as_u64().unwrap() >= 20, "{said}");
    assert_eq!((&said["closed"], &said["head"]), (&json!(true), &json!("head_reached")), "{said}");
    assert_eq!((&said["begins_after"], &said["unchecked"]), (&json!(0), &json!(0)), "{said}");
    assert_eq!(said["lines"], said["last"]["seq"], "{said}");
    assert_eq!(said["kept_checkpoint"], said["last"]["seq"], "{said}");
}

#[test]
fn an_edited_record_is_found_in_every_file() {
    for file in 0..FILES {
        let copy = Copy::new();
        let mut edited = 0;
        copy.change(file, |lines| {
            let place = record(lines, lines.len() / 2);
            edited = seq(&lines[place]);
            lines[place] = lines[place].replacen("\"status\":200", "\"status\":403", 1);
        });
        assert_eq!(copy.first(), (copy.name(file), Some(edited), "changed".to_owned()));
    }
}

#[test]
fn deleted_records_and_files_are_ranges_that_are_missing() {
    let copy = Copy::new();
    let mut gone = (0, 0);
    copy.change(1, |lines| {
        let place = record(lines, 100);
        gone = (seq(&lines[place]), seq(&lines[place + 11]));
        lines.drain(place..place + 12);
    });
    let said = verified(&copy.log(), SECRET, &[]);
    assert_eq!(first(&said), (copy.name(1), Some(gone.1 + 1), "missing".to_owned()));
    assert_eq!(said["found"][0]["missing"], json!([gone.0, gone.1]));
    assert_eq!(said["faults"], 1, "{said}");

    let copy = Copy::new();
    let files = copy.files();
    let removed = lines(&files[2]);
    fs::remove_file(&files[2]).unwrap();
    let (from, to) = (seq(&removed[0]), seq(removed.last().unwrap()));
    let said = verified(&copy.log(), SECRET, &[]);
    assert_eq!(first(&said), (name(&files[3]), Some(to + 1), "missing".to_owned()));
    assert_eq!(said["found"][0]["missing"], json!([from, to]));
}

#[test]
fn swapped_records_and_files_are_out_of_their_place() {
    let copy = Copy::new();
    let mut later = 0;
    copy.change(2, |lines| {
        let place = record(lines, 500);
        later = seq(&lines[place + 1]);
        lines.swap(place, place + 1);
    });
    assert_eq!(copy.first(), (copy.name(2), Some(later), "moved".to_owned()));

    let copy = Copy::new();
    let files = copy.files();
    let (one, other) = (lines(&files[1]), lines(&files[2]));
    write(&files[1], &(other.join("\n") + "\n"));
    write(&files[2], &(one.join("\n") + "\n"));
    let said = verified(&copy.log(), SECRET, &[]);
    assert_eq!(first(&said), (name(&files[1]), Some(seq(&other[0])), "missing".to_owned()));
    assert_eq!(said["found"][0]["missing"], json!([seq(&one[0]), seq(one.last().unwrap())]));
}

#[test]
fn a_replayed_record_is_found_where_it_is_repeated() {
    let copy = Copy::new();
    let old = lines(&copy.files()[0]);
    let old = old[record(&old, 50)].clone();
    copy.change(3, |lines| lines.insert(record(lines, 200), old.clone()));
    assert_eq!(copy.first(), (copy.name(3), Some(seq(&old)), "replayed".to_owned()));
}

#[test]
fn a_record_put_in_is_found() {
    let copy = Copy::new();
    let mut number = 0;
    copy.change(4, |lines| {
        let place = record(lines, 100);
        number = seq(&lines[place]);
        let forged = lines[place].replacen("\"status\":200", "\"status\":403", 1);
        lines.insert(place, forged);
    });
    assert_eq!(copy.first(), (copy.name(4), Some(number), "inserted".to_owned()));
}

#[test]
fn what_is_appended_after_the_end_is_found() {
    let copy = Copy::new();
    let last = copy.files().len() - 1;
    let mut number = 0;
    copy.change(last, |lines| {
        number = seq(lines.last().unwrap()) + 1;
        let forged = lines[record(lines, 2)].clone();
        let own = format!("\"seq\":{}", seq(&forged));
        lines.push(forged.replace(&own, &format!("\"seq\":{number}")));
    });
    assert_eq!(copy.first(), (copy.name(last), Some(number), "appended".to_owned()));
}

#[test]
fn a_log_cut_short_is_found_by_its_head_or_by_a_checkpoint_kept_elsewhere() {
    let copy = Copy::new();
    let last = copy.files().len() - 1;
    let kept = copy.folder.path().join("kept.head");
    fs::copy(head_path(&copy.log()), &kept).unwrap();
    let end = seq(&fs::read_to_string(&kept).unwrap().replace('\n', ""));
    copy.change(last, |lines| lines.truncate(lines.len() - 5));
    let head = (name(&head_path(&copy.log())), Some(end), "cut_short".to_owned());
    assert_eq!(copy.first(), head);

    // Whoever cut the log puts an older checkpoint of the log itself into the head file.
    let is_checkpoint = |line: &&String| line.starts_with(r#"{"v":1,"event":"checkpoint""#);
    let before = lines(&copy.files()[last - 1]);
    let older = before.iter().rfind(is_checkpoint).unwrap();
    fs::write(head_path(&copy.log()), format!("{older}\n")).unwrap();
    fs::remove_file(copy.log()).unwrap();
    assert_eq!(verified(&copy.log(), SECRET, &[])["good"], true, "it cannot know");
    let said = verified(&copy.log(), SECRET, &["--checkpoint", kept.to_str().unwrap()]);
    assert_eq!(first(&said), ("kept.head".to_owned(), Some(end), "cut_short".to_owned()));
}

#[test]
fn a_foreign_key_is_found_where_it_begins() {
    // The whole log with another key: nothing of it can be believed.
    let copy = Copy::new();
    let said = verified(&copy.log(), OTHER, &[]);
    assert_eq!(first(&said), (copy.name(0), Some(1), "foreign_key".to_owned()));

    // One file written anew by somebody with a key of their own.
    let copy = Copy::new();
    let mut number = 0;
    copy.change(2, |lines| {
        let Some(Event::ChainStart(ChainStart { chain, resumes: Some((seq, mac)), .. })) =
            Event::of(lines[0].as_bytes())
        else {
            panic!("{}", lines[0])
        };
        number = seq + 1;
        let key = AuditKey::new(&Secret::new(OTHER)).unwrap();
        let mut writer = Sealer::resume(key, SinkFormat::Json, State { chain, seq, mac });
        let mut out = Vec::new();
        writer.start((None, None), std::time::SystemTime::now(), &mut out);
        for line in lines.iter().skip(1) {
            let seal = Sealed::of(line.as_bytes()).unwrap();
            let covered = String::from_utf8(seal.covered.to_vec()).unwrap();
            let (record, _number) = covered.rsplit_once(",\"seq\":").unwrap();
            writer.seal(format!("{record}}}").as_bytes(), &mut out);
        }
        *lines = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    });
    assert_eq!(copy.first(), (copy.name(2), Some(number), "foreign_key".to_owned()));
}

#[test]
fn a_line_torn_in_the_middle_is_found() {
    let copy = Copy::new();
    let mut torn = 0;
    copy.change(1, |lines| {
        let place = record(lines, 300);
        torn = u64::try_from(place).unwrap() + 1;
        let half = lines[place].len() / 2;
        lines[place].truncate(half);
    });
    let said = verified(&copy.log(), SECRET, &[]);
    assert_eq!(first(&said), (copy.name(1), None, "malformed".to_owned()));
    assert_eq!(said["found"][0]["line"], torn);
}

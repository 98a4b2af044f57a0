//! Finds and reads the files: the only part of this layer that touches the file system.
//!
//! Whatever lies in a policy directory is read without trust: bounded in size and number, regular
//! files only (a FIFO would hang the gate), UTF-8 only. Symbolic links are followed, because a
//! Kubernetes `ConfigMap` is made of them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::diagnostics::{Diagnostic, Diagnostics, Severity, SourceFile};
use super::lower::process::Process;
use super::lower::{Loaded, is_attachment, load};
use crate::gate::time::Time;

/// The largest file, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// The largest schema or `OpenAPI` document, in bytes: published ones have more than ten million.
pub const MAX_ATTACHMENT: usize = 16 << 20;

/// The most files of one directory.
pub const MAX_FILES: usize = 10_000;

/// The most bytes of all files together.
pub const MAX_TOTAL: usize = 64 << 20;

/// The configuration's default file name.
const CONFIG: &str = "burngate.yaml";

/// Where `burngate.yaml` is looked for, in this order.
#[derive(Debug, Clone, Default)]
pub struct LookUp {
    /// `--config`.
    pub flag: Option<PathBuf>,
    /// `$BURNGATE_CONFIG`.
    pub variable: Option<PathBuf>,
    /// The working directory; files in it are known by their bare name.
    pub directory: PathBuf,
    /// `$XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
}

/// Finds and reads the process's configuration. One that is named must exist; the others may.
pub fn find_config(look_up: &LookUp) -> Result<Option<SourceFile>, Diagnostics> {
    let named = look_up
        .flag
        .as_ref()
        .or(look_up.variable.as_ref())
        .filter(|path| !path.as_os_str().is_empty());
    let candidates = match named {
        Some(path) => vec![path.clone()],
        None => [
            Some(look_up.directory.join(CONFIG)),
            look_up
                .config_home
                .as_ref()
                .map(|home| home.join("burngate").join(CONFIG)),
            Some(Path::new("/etc/burngate").join(CONFIG)),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    for path in candidates {
        match read(&path) {
            Ok(file) => return Ok(Some(file)),
            Err(FileError::Missing) if named.is_none() => {}
            Err(unreadable) => {
                let mut found = Diagnostics::default();
                let mut unreadable = unreadable.diagnostic(&path);
                if unreadable.hint.is_none() {
                    unreadable.hint("--config or BURNGATE_CONFIG names this file; without either, the gate starts with its defaults");
                }
                found.push(unreadable);
                return Err(found);
            }
        }
    }
    Ok(None)
}

/// Reads and loads the policies at `paths`, files or directories. What cannot be read is reported
/// together with what is wrong in the rest.
pub fn load_from(paths: &[PathBuf], process: &Process, now: Time) -> Result<Loaded, Diagnostics> {
    let (files, problems) = gather(paths);
    if let (true, true, Some(path)) = (files.is_empty(), problems.is_empty(), paths.first()) {
        let mut nothing = Diagnostic::without_location(
            Severity::Error,
            &path.display().to_string(),
            "there is no policy file here (*.yaml, *.yml or *.json)",
        );
        nothing.hint("`burngate init` writes a first policy");
        let mut found = Diagnostics::default();
        found.push(nothing);
        return Err(found);
    }
    if problems.is_empty() {
        return load(&files, process, now);
    }
    let mut found = Diagnostics::about(&files);
    found.extend(problems);
    if !files.is_empty() {
        match load(&files, process, now) {
            Ok(loaded) => found.extend(loaded.warnings.iter().cloned()),
            // References to something in a file that cannot be read are reported too. That repeats
            // the first error, but leaving them out could hide a second one.
            Err(others) => found.extend(others.iter().cloned()),
        }
    }
    found.sort();
    Err(found)
}

/// Reads every policy file, schema and `OpenAPI` file at `paths`, in the order of their names, and
/// says what could not be read.
#[must_use]
pub fn gather(paths: &[PathBuf]) -> (Vec<SourceFile>, Vec<Diagnostic>) {
    let (mut files, mut problems, mut total) = (Vec::new(), Vec::new(), 0);
    for path in paths {
        match policy_files(path) {
            Ok(found) => {
                for path in found {
                    match read(&path) {
                        Ok(file) => {
                            total += file.text.len();
                            if total > MAX_TOTAL || files.len() >= MAX_FILES {
                                problems.push(FileError::TooMany.diagnostic(&path));
                                return (files, problems);
                            }
                            files.push(file);
                        }
                        Err(unreadable) => problems.push(unreadable.diagnostic(&path)),
                    }
                }
            }
            Err(unreadable) => problems.push(unreadable.diagnostic(path)),
        }
    }
    let mut names = BTreeSet::new();
    files.retain(|file| names.insert(file.name.clone()));
    (files, problems)
}

/// The text of the `OpenAPI` document at `path`, whatever it is called.
pub fn read_attachment(path: &Path) -> Result<String, Diagnostics> {
    read_within(path, MAX_ATTACHMENT)
        .map(|file| file.text.to_string())
        .map_err(|unreadable| {
            let mut found = Diagnostics::default();
            found.push(unreadable.diagnostic(path));
            found
        })
}

/// The policy files in a directory; or the file itself, and the schemas and documents beside it
/// that it names.
fn policy_files(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    if fs::metadata(path)?.is_dir() {
        return listed(path);
    }
    let mut found = vec![path.to_owned()];
    let beside = path.parent().map(|parent| {
        if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        }
    });
    if let (Ok(policy), Some(Ok(others))) = (read(path), beside.map(listed)) {
        let is_named = |other: &PathBuf| {
            let name = other.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| is_attachment(&name) && policy.text.contains(&*name))
        };
        // Files are known by the directory that was typed.
        found.extend(
            others
                .iter()
                .filter(|other| is_named(other))
                .filter_map(|other| Some(path.with_file_name(other.file_name()?))),
        );
        found.dedup();
    }
    Ok(found)
}

fn listed(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Editors' and ConfigMaps' own files are hidden: `..data`, `.a.yaml.swp`.
        if !name.starts_with('.')
            && [".yaml", ".yml", ".json"]
                .iter()
                .any(|ending| name.ends_with(ending))
        {
            if found.len() == MAX_FILES {
                return Err(FileError::TooMany);
            }
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<SourceFile, FileError> {
    read_within(
        path,
        if is_attachment(&path.to_string_lossy()) {
            MAX_ATTACHMENT
        } else {
            MAX_FILE
        },
    )
}

fn read_within(path: &Path, most: usize) -> Result<SourceFile, FileError> {
    // Before opening: opening a FIFO waits for somebody to write.
    if !fs::metadata(path)?.is_file() {
        return Err(FileError::NotRegular);
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(FileError::TooLarge { most });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(SourceFile::new(path.display().to_string(), text)),
        Err(error) => Err(FileError::NotUtf8 {
            valid: error.as_bytes()[..error.utf8_error().valid_up_to()].to_vec(),
        }),
    }
}

enum FileError {
    Missing,
    NotRegular,
    TooLarge { most: usize },
    TooMany,
    NotUtf8 { valid: Vec<u8> },
    Io(io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            FileError::Missing
        } else {
            FileError::Io(error)
        }
    }
}

impl FileError {
    fn diagnostic(self, path: &Path) -> Diagnostic {
        let name = path.display().to_string();
        let (message, hint) = match &self {
            FileError::Missing => ("no such file or directory".to_owned(), None),
            FileError::NotRegular => (
                "this is not a regular file".to_owned(),
                Some("a directory, pipe, socket or device cannot be a policy file"),
            ),
            FileError::TooLarge { most } => {
                let hint = if *most == MAX_FILE {
                    "split it: each document can be a file of its own"
                } else {
                    "cut it down to the operations that agents call"
                };
                (
                    format!("this file is larger than {} MiB", most >> 20),
                    Some(hint),
                )
            }
            FileError::TooMany => (
                format!(
                    "there are more than {MAX_FILES} files, or more than {} MiB of them",
                    MAX_TOTAL >> 20
                ),
                Some("is this the policy directory?"),
            ),
            FileError::NotUtf8 { valid } => (
                format!("this is not UTF-8 from byte {} on", valid.len()),
                Some("save the file as UTF-8"),
            ),
            FileError::Io(error) => (
                format!("cannot be read: {error}"),
                (error.kind() == io::ErrorKind::PermissionDenied)
                    .then_some("give the user that runs this the right to read it"),
            ),
        };
        let mut diagnostic = Diagnostic::without_location(Severity::Error, &name, message);
        if let FileError::NotUtf8 { valid } = &self {
            let before = SourceFile::new("", String::from_utf8_lossy(valid));
            (diagnostic.line, diagnostic.column) = before.position(before.text.len());
            diagnostic.span = valid.len()..valid.len() + 1;
        }
        diagnostic.hint = hint.map(str::to_owned);
        diagnostic
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn names(files: &[SourceFile]) -> Vec<String> {
        files
            .iter()
            .map(|file| {
                Path::new(&*file.name)
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }

    fn messages(problems: &[Diagnostic]) -> Vec<String> {
        problems
            .iter()
            .map(|problem| problem.message.clone())
            .collect()
    }

    #[test]
    fn a_config_map_is_read_through_its_links_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("..2026_11_23");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("b.yaml"), "api: b").unwrap();
        symlink("..2026_11_23", dir.path().join("..data")).unwrap();
        symlink("..data/b.yaml", dir.path().join("b.yaml")).unwrap();
        fs::write(dir.path().join("a.yml"), "api: a").unwrap();
        fs::write(dir.path().join(".a.yml.swp"), "x").unwrap();
        fs::write(dir.path().join("README.md"), "x").unwrap();
        let (files, problems) = gather(&[dir.path().to_owned()]);
        assert_eq!(names(&files), ["a.yml", "b.yaml"]);
        assert_eq!(messages(&problems), Vec::<String>::new());
    }

    #[test]
    fn a_policy_that_is_named_brings_the_schemas_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.yaml", "api: a\nopenapi: a.openapi.yaml\n"),
            ("a.openapi.yaml", ""),
            ("b.openapi.yaml", ""),
            ("c.yaml", ""),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let at = |name: &str| dir.path().join(name);
        assert_eq!(
            names(&gather(&[at("a.yaml")]).0),
            ["a.yaml", "a.openapi.yaml"]
        );
        assert_eq!(
            names(&gather(&[at("c.yaml"), at("a.yaml"), at("a.openapi.yaml")]).0),
            ["c.yaml", "a.yaml", "a.openapi.yaml"]
        );
    }

    #[test]
    fn what_is_not_a_small_regular_text_file_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let _socket = UnixListener::bind(at("a.yaml")).unwrap();
        fs::create_dir(at("b.yaml")).unwrap();
        fs::write(at("c.yaml"), b"api: a\nx: \xff").unwrap();
        fs::write(at("d.yaml"), vec![b'#'; MAX_FILE + 1]).unwrap();
        fs::write(at("e.yaml"), vec![b'#'; MAX_FILE]).unwrap();
        symlink("nowhere", at("f.yaml")).unwrap();
        let (files, problems) = gather(&[dir.path().to_owned()]);
        assert_eq!(names(&files), ["e.yaml"]);
        assert_eq!(
            messages(&problems),
            [
                "this is not a regular file",
                "this is not a regular file",
                "this is not UTF-8 from byte 10 on",
                "this file is larger than 1 MiB",
                "no such file or directory"
            ]
        );
        assert_eq!((problems[2].line, problems[2].column), (2, 4));
    }

    /// Sparse files, which cost no disk: their bytes are all zero.
    fn sparse(path: &Path, bytes: usize) {
        File::create(path).unwrap().set_len(bytes as u64).unwrap();
    }

    #[test]
    fn an_attachment_may_be_larger_than_a_policy_and_is_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        sparse(&dir.path().join("a.openapi.yaml"), MAX_ATTACHMENT);
        sparse(&dir.path().join("b.openapi.yaml"), MAX_ATTACHMENT + 1);
        let (files, problems) = gather(&[dir.path().to_owned()]);
        assert_eq!(names(&files), ["a.openapi.yaml"]);
        assert_eq!(messages(&problems), ["this file is larger than 16 MiB"]);
    }

    #[test]
    fn all_files_together_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..MAX_TOTAL / MAX_ATTACHMENT {
            sparse(
                &dir.path().join(format!("{n}.openapi.yaml")),
                MAX_ATTACHMENT,
            );
        }
        let paths = [dir.path().to_owned()];
        let (files, problems) = gather(&paths);
        assert_eq!(files.iter().map(|f| f.text.len()).sum::<usize>(), MAX_TOTAL);
        assert_eq!(messages(&problems), Vec::<String>::new());
        sparse(&dir.path().join("z.yaml"), 1);
        let (files, problems) = gather(&paths);
        assert_eq!(files.iter().map(|f| f.text.len()).sum::<usize>(), MAX_TOTAL);
        assert_eq!(
            messages(&problems),
            ["there are more than 10000 files, or more than 64 MiB of them"]
        );
    }

    #[test]
    fn as_many_files_as_a_directory_may_hold_and_not_one_more() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..MAX_FILES {
            sparse(&dir.path().join(format!("{n}.yaml")), 0);
        }
        let too_many = "there are more than 10000 files, or more than 64 MiB of them";
        let (files, problems) = gather(&[dir.path().to_owned()]);
        assert_eq!((files.len(), problems.len()), (MAX_FILES, 0));
        // Of two directories one file more than there may be.
        let other = tempfile::tempdir().unwrap();
        sparse(&other.path().join("z.yaml"), 0);
        let both = [dir.path().to_owned(), other.path().to_owned()];
        let (files, problems) = gather(&both);
        assert_eq!(files.len(), MAX_FILES);
        assert_eq!(messages(&problems), [too_many]);
        // Of one directory, before any of them is read.
        sparse(&dir.path().join("z.yaml"), 0);
        let (files, problems) = gather(&[dir.path().to_owned()]);
        assert_eq!(files.len(), 0);
        assert_eq!(messages(&problems), [too_many]);
    }

    #[test]
    fn what_cannot_be_read_is_told_together_with_what_is_wrong_in_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("a.yaml"),
            "workflow: w\nrisk: lo\ntools: []\n",
        )
        .unwrap();
        let found = load_from(
            &[dir.path().to_owned(), dir.path().join("missing")],
            &Process::default(),
            Time::default(),
        )
        .unwrap_err();
        assert_eq!(
            found
                .iter()
                .filter(|found| found.severity == Severity::Error)
                .count(),
            2,
            "{found}"
        );
        let empty = tempfile::tempdir().unwrap();
        assert!(
            load_from(
                &[empty.path().to_owned()],
                &Process::default(),
                Time::default()
            )
            .is_err()
        );
    }

    #[test]
    fn the_first_configuration_that_exists_counts_and_a_named_one_must_exist() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir_all(home.join("burngate")).unwrap();
        fs::write(home.join("burngate/burngate.yaml"), "workers: 1").unwrap();
        let look_up = LookUp {
            directory: dir.path().to_owned(),
            config_home: Some(home),
            ..LookUp::default()
        };
        assert_eq!(&*find_config(&look_up).unwrap().unwrap().text, "workers: 1");
        fs::write(dir.path().join("burngate.yaml"), "workers: 2").unwrap();
        assert_eq!(&*find_config(&look_up).unwrap().unwrap().text, "workers: 2");
        let named = LookUp {
            variable: Some(dir.path().join("missing.yaml")),
            ..look_up
        };
        assert!(find_config(&named).is_err());
    }
}

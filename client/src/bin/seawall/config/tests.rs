use super::*;
use crate::args::Credentials;

struct World {
    folder: tempfile::TempDir,
    global: Global,
    reach: Reach,
    environment: Environment,
}

impl World {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, config).unwrap();
        fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let config = Some(path);
        let global = Global { config, ..Global::default() };
        Self { folder, global, reach: Reach::default(), environment: Environment::default() }
    }

    fn keyring(&self) -> Result<Keyring, Failure> {
        Keyring::read(&self.global, self.environment.clone())
    }

    fn find(&self) -> Result<Settings, Failure> {
        Settings::find(&self.global, &self.reach, &self.keyring()?)
    }

    fn has_token(&self) -> bool {
        self.find().unwrap().token.is_some()
    }

    /// Returns true if a token is sent to a registry that a pulled directory remembers.
    fn has_token_for_remembered(&self, url: &str) -> bool {
        Settings::remembered(url, &self.keyring().unwrap()).unwrap().token.is_some()
    }

    fn url(&self) -> String {
        match self.find().unwrap().location {
            Location::Url(url) => url,
            other => panic!("{}", other.address()),
        }
    }
}

#[test]
fn a_flag_goes_before_a_reference_and_a_reference_before_the_file() {
    let mut world = World::new("registry = 'https://file.example'");
    assert_eq!(world.url(), "https://file.example");
    world.reach.host = Some(Named::Host("ref.example:8443".into()));
    assert_eq!(world.url(), "https://ref.example:8443");
    world.global.registry = Some("http://flag.example".into());
    assert_eq!(world.url(), "http://flag.example");
    world.global.registry = Some(String::new());
    assert_eq!(world.url(), "https://ref.example:8443", "an empty variable says nothing");
}

#[test]
fn only_loopback_hosts_are_spoken_to_in_the_clear() {
    let cases = [
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("[::1]:80", "http://[::1]:80"),
        ("10.0.0.1:80", "https://10.0.0.1:80"),
        ("registry.example", "https://registry.example"),
    ];
    for (host, url) in cases {
        assert_eq!(url_of_host(host), url);
    }
}

#[test]
fn the_files_token_goes_to_the_files_registry_alone() {
    let mut world = World::new("registry = 'https://file.example'\ntoken_file = 'token'");
    assert!(world.has_token());
    for other in ["evil.example", "file.example:444", "127.0.0.1:443"] {
        world.reach.host = Some(Named::Host(other.into()));
        assert!(!world.has_token(), "{other}");
    }
    for same in ["file.example", "file.example:443"] {
        world.reach.host = Some(Named::Host(same.into()));
        assert!(world.has_token(), "{same}: the same registry, named by reference");
    }
    world.reach.host = None;
    world.global.registry = Some("http://file.example".into());
    assert!(!world.has_token(), "unencrypted is another registry");
    world.global.registry = Some("https://FILE.example:443/".into());
    assert!(world.has_token(), "another spelling is not");
}

#[test]
fn the_environments_token_goes_to_the_registry_that_is_given_alone() {
    let variables = [
        Environment { token: Some("from-variable".into()), token_file: None },
        Environment { token: None, token_file: Some("token".into()) },
    ];
    for mut environment in variables {
        let mut world = World::new("registry = 'https://file.example'");
        environment.token_file = environment.token_file.map(|it| world.folder.path().join(it));
        world.environment = environment;
        assert!(world.has_token(), "the file names the registry");
        world.reach.host = Some(Named::Host("evil.example".into()));
        assert!(!world.has_token(), "a reference may come from anybody");
        assert!(!world.has_token_for_remembered("https://evil.example"));
        assert!(world.has_token_for_remembered("https://file.example"));
        world.global.registry = Some("https://given.example".into());
        assert!(world.has_token());
        assert!(world.has_token_for_remembered("https://given.example"));
        assert!(!world.has_token_for_remembered("https://file.example"), "it is for the given one");
    }
}

#[test]
fn a_flag_is_for_the_registry_of_its_command_and_for_none_that_a_directory_remembers() {
    let mut world = World::new("");
    world.reach.credentials.token_file = Some(world.folder.path().join("token"));
    world.reach.host = Some(Named::Host("typed.example".into()));
    assert!(world.has_token(), "both were typed");
    assert!(!world.has_token_for_remembered("https://typed.example"));
}

#[test]
fn other_registries_have_tokens_of_their_own() {
    let mut world = World::new(
        "[registries.'https://one.example']\ntoken_file = 'token'\n\
         [registries.'https://two.example:8443']\ntoken_file = 'missing'",
    );
    for (host, has_token) in [("one.example", true), ("three.example", false)] {
        world.reach.host = Some(Named::Host(host.into()));
        assert_eq!(world.has_token(), has_token, "{host}");
    }
    assert!(world.has_token_for_remembered("https://one.example/"));
    world.reach.host = Some(Named::Host("two.example:8443".into()));
    assert_eq!(world.find().unwrap_err().exit_code(), 3, "its token file is missing");
    let repair =
        |from| Settings::beside(from, None, &world.keyring().unwrap()).unwrap().token.is_some();
    assert!(repair("https://one.example") && !repair("https://three.example"));
}

#[test]
fn a_variable_that_is_set_and_empty_counts_as_unset() {
    let mut world = World::new("registry = 'https://file.example'\ntoken_file = 'token'");
    world.environment = Environment { token: Some(String::new()), token_file: Some("".into()) };
    world.global.registry = Some(String::new());
    assert!(world.has_token(), "that of the file");
    world.environment.token_file = Some(world.folder.path().join("missing"));
    assert!(world.find().is_err(), "an empty SEAWALL_TOKEN hides no SEAWALL_TOKEN_FILE");
}

#[test]
fn unencrypted_tokens_are_detected() {
    for (url, is_clear) in [
        ("http://10.0.0.5:7440", true),
        ("http://registry.example", true),
        ("https://registry.example", false),
        ("http://127.0.0.1:7440", false),
        ("http://[::1]:7440", false),
        ("http://localhost", false),
    ] {
        assert_eq!(is_in_the_clear(url), is_clear, "{url}");
    }
}

#[test]
fn mistakes_name_what_to_look_at() {
    let world = World::new("registri = 'x'");
    let text = world.find().unwrap_err().to_string();
    assert!(text.contains("unknown field `registri`") && text.contains("config.toml"), "{text}");

    let mut world = World::new("");
    assert!(world.find().unwrap_err().to_string().contains("no registry is named"));
    world.global.registry = Some("registry.example".into());
    let text = world.find().unwrap_err().to_string();
    assert!(text.contains("https://registry.example"), "{text}");

    world.global.registry = Some("http://h".into());
    world.reach.credentials = Credentials {
        token_file: Some(world.folder.path().join("missing")),
        ..Credentials::default()
    };
    let failure = world.find().unwrap_err();
    assert_eq!(failure.exit_code(), 3, "{failure}");
    world.reach.credentials.token_file = None;
    world.environment.token = Some("two words".into());
    let text = world.find().unwrap_err().to_string();
    assert!(!text.contains("two words") && text.contains("SEAWALL_TOKEN"), "{text}");
}

#[test]
fn a_directory_is_known_by_how_it_begins_or_by_being_there() {
    let world = World::new("");
    assert_eq!(location("./repo").unwrap(), Location::Directory("./repo".into()));
    let there = world.folder.path().to_str().unwrap();
    assert_eq!(location(there).unwrap(), Location::Directory(there.into()));
    assert_eq!(location("http://x/y").unwrap(), Location::Url("http://x/y".into()));
}

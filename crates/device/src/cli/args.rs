//! The command line.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use url::Url;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the server refused; its code is printed
  2  the command makes no sense as given
  3  no server there, or none that speaks this protocol
  4  key files or state of this machine
  5  a person refused, here or on the phone
  6  what arrived does not hold together, so nothing was signed

Keys are software keys: files in the state directory that whoever may read this account's files can
copy. They prove continuity, never hardware.";

/// A software phone and a console terminal for Countersign.
#[derive(Debug, Parser)]
#[command(name = "countersign-device", version, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Options {
    /// Where this device keeps its keys and state [default: ~/.local/share/countersign-device]
    #[arg(long, global = true, value_name = "DIR", env = "COUNTERSIGN_DEVICE_STATE")]
    pub state: Option<PathBuf>,
    /// Print results as JSON, one object, and draw nothing
    #[arg(long, global = true)]
    pub json: bool,
    /// Talk to servers other than this machine without TLS: anyone on the way can read and change it
    #[arg(long, global = true)]
    pub danger_allow_plain_http: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enrol this device with an invitation's link; its keys are software keys
    Enrol {
        /// The link, https://HOST/enrol#…
        link: String,
        /// What to call this device
        #[arg(long, default_value = "Software phone")]
        name: String,
        /// Make a passkey that says it may be copied, as accounts in a cloud keep them
        #[arg(long)]
        synced_passkey: bool,
    },
    /// Make a new device key and bind it by the passkey alone, as a browser does that lost its storage
    Rebind {
        /// What to call the device, if it becomes a new one
        #[arg(long, default_value = "Software phone")]
        name: String,
    },
    /// Join as a further device: shows a code for a device that is enrolled already
    Add {
        /// The server, https://HOST
        #[arg(long)]
        issuer: Url,
        /// What to call this device
        #[arg(long, default_value = "Software phone")]
        name: String,
    },
    /// The interactive phone: type or paste codes, read, decide
    Phone,
    /// Show devices, open sessions, notices and what happened lately
    List,
    /// Scan a code by its link, or type one, and show what it asks
    Scan {
        /// The live link (https://HOST/q#…) or the typed code (WDJB-MJHT)
        code: String,
    },
    /// Requests that were offered to you
    Pending,
    /// Take an offered request and show what it asks
    Take {
        /// Its id
        cid: String,
    },
    /// Approve what was scanned last, or CID
    Approve {
        /// Which request
        cid: Option<String>,
        /// The digits that the screen shows, where it asks for them on the phone
        #[arg(long)]
        digits: Option<String>,
    },
    /// Refuse what was scanned last, or CID
    Refuse {
        /// Which request
        cid: Option<String>,
    },
    /// Refuse, and stop that screen from asking for you for 15 minutes
    NotMe {
        /// Which request
        cid: Option<String>,
    },
    /// End an open session from anywhere
    #[command(group(clap::ArgGroup::new("which").required(true).args(["session", "all"])))]
    End {
        /// Its id, from `list`
        session: Option<String>,
        /// End everything that is open
        #[arg(long)]
        all: bool,
    },
    /// Declare a device lost: it can do nothing any more. This cannot be undone
    Lost {
        /// Its id, from `list`
        device: String,
    },
    /// Let a waiting device in
    Allow {
        /// Its id, from `list`
        device: String,
    },
    /// Throw a waiting device out
    NotMine {
        /// Its id, from `list`
        device: String,
    },
    /// Rename a device
    Rename {
        /// Its id, from `list`
        device: String,
        /// Its new name
        name: String,
    },
    /// Set the word that clients must bring who ask for you by name; it is read from standard input
    UserCode {
        /// Remove it: whoever knows your login name may ask
        #[arg(long)]
        remove: bool,
    },
    /// Undo what a notice is about
    Undo {
        /// Its id, from `list`
        notice: String,
    },
    /// Take note of a notice
    Ok {
        /// Its id, from `list`
        notice: String,
    },
    /// Invite a person (administrators)
    Invite {
        /// Full name
        name: String,
        /// Login name, unique
        login: String,
        /// `member` or `administrator`
        #[arg(long)]
        role: Option<String>,
    },
    /// Tell what happened in a ceremony, and how well each protection held
    Story {
        /// Its id
        cid: String,
    },
    /// This machine's health: what it says, and what the server knows of it
    #[command(subcommand)]
    Posture(Posture),
    /// Report this machine's health until stopped: on start, on change, and as often as the server asks.
    /// From the first report on, silence ends what this device opened
    Watch {
        #[command(flatten)]
        agents: Agents,
    },
    /// Register this machine as a terminal by its link; its key is in a file, or in a TPM with `--tpm`
    Terminal {
        /// The link, https://HOST/terminal#…
        link: String,
        /// Keep the key in this machine's TPM (tpm2-tools)
        #[arg(long)]
        tpm: bool,
    },
    /// Say that somebody far away has this registered terminal in hand (`yes`), or has left (`no`): for the scripts that
    /// remote support runs before and after. Nothing privileged is given here meanwhile
    RemoteControl {
        /// `yes` or `no`
        #[arg(value_parser = ["yes", "no"])]
        word: String,
    },
    /// Rights that two people can open while the server cannot be reached
    #[command(subcommand)]
    Glass(Glass),
    /// Sign in on this console with the phone: shows a live code, prints what it got
    SignIn(SignIn),
    /// Act a person's whole part without a browser, for tests and monitoring
    #[command(subcommand)]
    Play(Play),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub struct Agents {
    /// A process or systemd unit (NAME.service) that is this machine's security agent; repeat it for more
    #[arg(long = "agent", value_name = "NAME", env = "COUNTERSIGN_DEVICE_AGENTS", value_delimiter = ',')]
    pub names: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Posture {
    /// Show it; nothing is sent
    Show {
        #[command(flatten)]
        agents: Agents,
    },
    /// Report it once, without promising to go on
    Send {
        #[command(flatten)]
        agents: Agents,
    },
}

#[derive(Debug, Subcommand)]
pub enum Glass {
    /// On a registered terminal, while the line is up: hand in what there is, and take a new grant. For a timer
    Take {
        /// For this application
        #[arg(long)]
        client: String,
    },
    /// On a terminal: what it has, and what was opened with it
    Show,
    /// On a terminal: ask two people, and open it with their answers, typed or pasted, one a line. Prints what the
    /// application wants to see
    Open {
        /// What to open; repeat it for more
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// Why, in a sentence that both will read
        #[arg(long)]
        reason: String,
        /// For how many minutes [default: as many as were granted]
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=60))]
        minutes: Option<i64>,
        /// Id of whoever will work with it (`sub` of their token): never one of the two
        #[arg(long, value_name = "PERSON")]
        works: Option<String>,
    },
    /// On a terminal, once the line is back: say the last word about the grant and hand everything in
    End,
    /// On a phone, while the line is up: keep the server's keys of today, by which its grants are known
    Ready,
    /// On a phone, with or without the line: read what a terminal shows, and answer it
    Approve {
        /// What the terminal shows, CSG1.…; asked for if it is not given
        slip: Option<String>,
        /// Do not ask: for tests
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct SignIn {
    /// The server, https://HOST
    #[arg(long, required_unless_present = "terminal")]
    pub issuer: Option<Url>,
    /// As the terminal that is registered here (`terminal`)
    #[arg(long, conflicts_with = "issuer")]
    pub terminal: bool,
    /// Registered client id of this program
    #[arg(long)]
    pub client: String,
    /// Registered redirect URI; nothing needs to listen there
    #[arg(long, default_value = "http://127.0.0.1/cb")]
    pub redirect_uri: String,
    /// Scopes, separated by spaces
    #[arg(long, default_value = "openid profile")]
    pub scope: String,
    /// Print the access token, too; whoever reads it still lacks its key
    #[arg(long)]
    pub print_token: bool,
}

#[derive(Debug, Subcommand)]
pub enum Play {
    /// Sign in at an authorization URL, or at an application's page that leads to one; prints the
    /// final redirect
    Authorize {
        /// Where the browser starts
        url: Url,
        /// Refuse instead of approving
        #[arg(long)]
        refuse: bool,
        /// Type wrong digits until the server ends it
        #[arg(long)]
        wrong_digits: bool,
        /// Scan two frames in sequence
        #[arg(long, conflicts_with = "typed_code")]
        pair: bool,
        /// Type the code instead of scanning
        #[arg(long)]
        typed_code: bool,
        /// Go back to the application without signing in
        #[arg(long, conflicts_with_all = ["refuse", "wrong_digits", "pair", "typed_code", "passkey"])]
        cancel: bool,
        /// Use the passkey on the screen itself; no phone is asked
        #[arg(long, conflicts_with_all = ["refuse", "wrong_digits", "pair", "typed_code"])]
        passkey: bool,
        /// Keep the browser here, with its session, for the next run
        #[arg(long, value_name = "DIR")]
        browser: Option<PathBuf>,
    },
    /// Type a code that another screen shows, and decide; prints the request's id
    Code {
        /// The code (WDJB-MJHT), or the address that brings it
        code: String,
        /// Refuse instead of approving
        #[arg(long)]
        refuse: bool,
        /// Refuse, and say that somebody else started it
        #[arg(long, conflicts_with = "refuse")]
        not_me: bool,
    },
    /// Wait for a request that is offered to this person, and decide; prints its id
    Offered {
        /// Digits that the application's screen shows, where they are asked for
        #[arg(long)]
        digits: Option<String>,
        /// Refuse instead of approving
        #[arg(long)]
        refuse: bool,
        /// Refuse, and say that somebody else started it
        #[arg(long, conflicts_with = "refuse")]
        not_me: bool,
    },
    /// Sign out at a client's log-out URL in a kept browser; prints where the page leads
    SignOut {
        /// Where the client sends the browser
        url: Url,
        /// The kept browser
        #[arg(long, value_name = "DIR")]
        browser: PathBuf,
    },
}

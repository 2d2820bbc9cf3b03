//! An application for PAM: starts the real libpam on service files of its own, so that a story logs in the way sshd
//! does, without root and without touching /etc/pam.d.
//!
//! One [`Stack`] is a folder with one service file; each [`Login`] on it is one PAM handle. Handles are independent:
//! thousands may run in parallel, each in one thread at a time. What a story reads afterwards is the code and the
//! transcript of what the person would have seen.

#![allow(unsafe_code, reason = "libpam is a C library")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a story that cannot be set up has to stop, and say where"
)]

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, ptr};

const PAM_SERVICE: c_int = 1;
const PAM_USER: c_int = 2;
const PAM_TTY: c_int = 3;
const PAM_RHOST: c_int = 4;
const PAM_RUSER: c_int = 8;

/// `PAM_SILENT`: the application wants no messages.
pub const SILENT: c_int = 0x8000;

#[repr(C)]
struct PamMessage {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct PamResponse {
    text: *mut c_char,
    retcode: c_int,
}

type Callback = extern "C" fn(c_int, *mut *const PamMessage, *mut *mut PamResponse, *mut c_void) -> c_int;

#[repr(C)]
struct PamConv {
    callback: Callback,
    appdata: *mut c_void,
}

#[repr(C)]
struct PamHandle {
    opaque: [u8; 0],
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const PamConv,
        folder: *const c_char,
        handle: *mut *mut PamHandle,
    ) -> c_int;
    fn pam_end(handle: *mut PamHandle, status: c_int) -> c_int;
    fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_get_item(handle: *const PamHandle, item: c_int, value: *mut *const c_void) -> c_int;
    fn pam_putenv(handle: *mut PamHandle, assignment: *const c_char) -> c_int;
    fn pam_authenticate(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_setcred(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_chauthtok(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut PamHandle, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut PamHandle, flags: c_int) -> c_int;
}

/// A PAM return code; shown by its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub c_int);

impl Code {
    /// Let in.
    pub const SUCCESS: Self = Self(0);
    /// The call itself was wrong.
    pub const SYSTEM_ERR: Self = Self(4);
    /// The account phase says no.
    pub const PERM_DENIED: Self = Self(6);
    /// The auth phase says no.
    pub const AUTH_ERR: Self = Self(7);
    /// The password must be changed.
    pub const NEW_AUTHTOK_REQD: Self = Self(12);
    /// The account is out of use.
    pub const ACCT_EXPIRED: Self = Self(13);
    /// The password has expired for good.
    pub const AUTHTOK_EXPIRED: Self = Self(27);
    /// Nobody could decide.
    pub const AUTHINFO_UNAVAIL: Self = Self(9);
    /// No such user, where an application or another module says so.
    pub const USER_UNKNOWN: Self = Self(10);
    /// The application could not ask.
    pub const CONV_ERR: Self = Self(19);
    /// The password cannot be changed here.
    pub const AUTHTOK_ERR: Self = Self(20);
    /// The module failed.
    pub const ABORT: Self = Self(26);

    /// The name in `_pam_types.h`, without its prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 32] = [
            "SUCCESS",
            "OPEN_ERR",
            "SYMBOL_ERR",
            "SERVICE_ERR",
            "SYSTEM_ERR",
            "BUF_ERR",
            "PERM_DENIED",
            "AUTH_ERR",
            "CRED_INSUFFICIENT",
            "AUTHINFO_UNAVAIL",
            "USER_UNKNOWN",
            "MAXTRIES",
            "NEW_AUTHTOK_REQD",
            "ACCT_EXPIRED",
            "SESSION_ERR",
            "CRED_UNAVAIL",
            "CRED_EXPIRED",
            "CRED_ERR",
            "NO_MODULE_DATA",
            "CONV_ERR",
            "AUTHTOK_ERR",
            "AUTHTOK_RECOVERY_ERR",
            "AUTHTOK_LOCK_BUSY",
            "AUTHTOK_DISABLE_AGING",
            "TRY_AGAIN",
            "IGNORE",
            "ABORT",
            "AUTHTOK_EXPIRED",
            "MODULE_UNKNOWN",
            "BAD_ITEM",
            "CONV_AGAIN",
            "INCOMPLETE",
        ];
        usize::try_from(self.0).ok().and_then(|number| NAMES.get(number)).copied().unwrap_or("(unknown)")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PAM_{}", self.name())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PAM_{} ({})", self.name(), self.0)
    }
}

/// How the application is told to show a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A question whose answer is not shown.
    Hidden,
    /// A question whose answer is shown.
    Shown,
    /// An error; no answer.
    Error,
    /// Information; no answer.
    Info,
    /// Anything else.
    Other,
}

impl Style {
    /// Whether an answer is expected.
    #[must_use]
    pub fn is_question(self) -> bool {
        matches!(self, Self::Hidden | Self::Shown)
    }

    fn of(number: c_int) -> Self {
        match number {
            1 => Self::Hidden,
            2 => Self::Shown,
            3 => Self::Error,
            4 => Self::Info,
            _ => Self::Other,
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it was to be shown.
    pub style: Style,
    /// What it said.
    pub text: String,
}

/// Ways in which applications break a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with this code.
    Fails(Code),
    /// The call succeeds and there is no array of answers.
    NoAnswers,
    /// The call succeeds and the answer is a null pointer.
    NullAnswer,
}

/// The `.so` under test: `TWINLOCK_MODULE`, or the one built beside this test (target/debug or target/release).
///
/// # Panics
/// Where there is none, or it is older than its source; the message says how to build it.
#[must_use]
pub fn module_path() -> PathBuf {
    if let Some(given) = env::var_os("TWINLOCK_MODULE") {
        let given = PathBuf::from(given);
        assert!(given.is_absolute(), "TWINLOCK_MODULE must be an absolute path, as libpam wants it");
        return given;
    }
    let test = env::current_exe().expect("the path of this test");
    let beside = test.ancestors().nth(2).expect("a target folder").join("libpam_twinlock.so");
    let built = fs::metadata(&beside).and_then(|found| found.modified()).unwrap_or_else(|error| {
        panic!("{}: {error}; build it with: cargo build -p pam_twinlock", beside.display())
    });
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["pam_module/src", "protocol/src"] {
        assert!(
            newest(&sources.join(folder)) <= built,
            "{} is older than {folder}; build it with: cargo build -p pam_twinlock",
            beside.display()
        );
    }
    beside
}

fn newest(folder: &Path) -> SystemTime {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let times = files.filter_map(|file| file.metadata().ok()?.modified().ok());
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A folder with one service file; removed on drop.
#[derive(Debug)]
pub struct Stack {
    folder: PathBuf,
    service: String,
}

impl Stack {
    /// The service `service` with `lines` as in /etc/pam.d. Modules of the system need no path.
    #[must_use]
    pub fn new(service: &str, lines: &[String]) -> Self {
        let template = env::temp_dir().join("twinlock-pam-XXXXXX");
        let folder = nix::unistd::mkdtemp(&template).expect("a temporary folder");
        let stack = Self { folder, service: service.to_owned() };
        stack.write(lines);
        stack
    }

    /// The service `service` with the module under test in all four groups, each with `arguments`.
    #[must_use]
    pub fn of_module(service: &str, arguments: &str) -> Self {
        let module = module_path();
        let line = |group| format!("{group} required {} {arguments}", module.display());
        Self::new(service, &["auth", "account", "password", "session"].map(line))
    }

    /// Adds a line that writes PAM_AUTHTOK, as the modules behind find it, to a file: an application may not read it.
    /// See [`Stack::revealed_authtok`]. Where it is not set, that line asks for it in the conversation.
    #[must_use]
    pub fn revealing_authtok(self) -> Self {
        let file = self.folder.join(&self.service);
        let mut lines = fs::read_to_string(&file).expect("the service file");
        lines.push_str(&format!(
            "auth optional pam_exec.so quiet expose_authtok /usr/bin/tee {}\n",
            self.revealed_file().display()
        ));
        fs::write(file, lines).expect("the service file");
        self
    }

    /// PAM_AUTHTOK at the end of the last successful auth phase of a stack made by [`Stack::revealing_authtok`].
    #[must_use]
    pub fn revealed_authtok(&self) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.revealed_file()).ok()?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        Some(bytes)
    }

    /// A handle for `user`, who answers nothing until [`Login::answering`] says what.
    ///
    /// # Panics
    /// If libpam cannot be started.
    #[must_use]
    pub fn login(&self, user: &str) -> Login {
        self.start(Some(user.as_bytes()))
    }

    /// A handle for a user whose name is these bytes.
    #[must_use]
    pub fn login_bytes(&self, user: &[u8]) -> Login {
        self.start(Some(user))
    }

    /// A handle without a user name.
    #[must_use]
    pub fn login_nameless(&self) -> Login {
        self.start(None)
    }

    fn start(&self, user: Option<&[u8]>) -> Login {
        let conversation = Box::into_raw(Box::new(Conversation::default()));
        let description = PamConv { callback: converse, appdata: conversation.cast() };
        let service = c_string(self.service.as_bytes());
        let user = user.map(c_string);
        let folder = c_string(self.folder.as_os_str().as_bytes());
        let mut handle = ptr::null_mut();
        // SAFETY: all strings end in NUL and outlive the call, which copies them and the description.
        let code = Code(unsafe {
            pam_start_confdir(
                service.as_ptr(),
                user.as_ref().map_or(ptr::null(), |user| user.as_ptr()),
                &raw const description,
                folder.as_ptr(),
                &raw mut handle,
            )
        });
        assert_eq!(code, Code::SUCCESS, "pam_start_confdir in {}", self.folder.display());
        // SAFETY: made above, and not in use by any call yet.
        unsafe { (*conversation).handle = handle };
        Login { handle, conversation, last: Code::SUCCESS }
    }

    fn write(&self, lines: &[String]) {
        let mut text = lines.join("\n");
        text.push('\n');
        fs::write(self.folder.join(&self.service), text).expect("the service file");
        // libpam reports a missing "other" in the log for every handle.
        let others =
            ["auth", "account", "password", "session"].map(|group| format!("{group} required pam_deny.so\n"));
        fs::write(self.folder.join("other"), others.concat()).expect("the file for other services");
    }

    fn revealed_file(&self) -> PathBuf {
        self.folder.join("authtok")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

type Answering = Box<dyn FnMut(Style, &str) -> Option<Vec<u8>> + Send>;

/// What the callback works on while a PAM call runs, and the story reads in between.
struct Conversation {
    answer: Answering,
    transcript: Vec<Line>,
    fault: Option<Fault>,
    rename: Option<Vec<u8>>,
    panic: Option<Box<dyn core::any::Any + Send>>,
    handle: *mut PamHandle,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            answer: Box::new(|_, _| None),
            transcript: Vec::new(),
            fault: None,
            rename: None,
            panic: None,
            handle: ptr::null_mut(),
        }
    }
}

/// One PAM handle; ended on drop with the last code.
pub struct Login {
    handle: *mut PamHandle,
    conversation: *mut Conversation,
    last: Code,
}

// SAFETY: a handle may be used from any thread, by one at a time (pam(3)); `&mut self` sees to that.
unsafe impl Send for Login {}

impl Login {
    /// What the person types: called for every message of the conversation; `None` to a question refuses it.
    /// The answer's bytes are wiped after libpam has its copy.
    #[must_use]
    pub fn answering(self, answer: impl FnMut(Style, &str) -> Option<Vec<u8>> + Send + 'static) -> Self {
        self.conversation().answer = Box::new(answer);
        self
    }

    /// The same `password` and `code` for prompts that say so; other questions are refused.
    #[must_use]
    pub fn typing(self, password: &str, code: &str) -> Self {
        let (password, code) = (password.to_owned(), code.to_owned());
        self.answering(move |style, prompt| match prompt {
            "Password: " if style.is_question() => Some(password.clone().into_bytes()),
            "Verification code: " if style.is_question() => Some(code.clone().into_bytes()),
            _ => None,
        })
    }

    /// Every conversation call goes wrong in this way.
    #[must_use]
    pub fn failing(self, fault: Fault) -> Self {
        self.conversation().fault = Some(fault);
        self
    }

    /// The application sets PAM_USER to `name` during the next conversation call.
    #[must_use]
    pub fn renaming(self, name: &str) -> Self {
        self.conversation().rename = Some(name.as_bytes().to_vec());
        self
    }

    /// PAM_RHOST.
    #[must_use]
    pub fn from(self, host: &str) -> Self {
        self.set(PAM_RHOST, host.as_bytes())
    }

    /// PAM_RUSER.
    #[must_use]
    pub fn invoked_by(self, user: &str) -> Self {
        self.set(PAM_RUSER, user.as_bytes())
    }

    /// PAM_TTY.
    #[must_use]
    pub fn on_tty(self, tty: &str) -> Self {
        self.set(PAM_TTY, tty.as_bytes())
    }

    /// Another PAM_SERVICE than the file's.
    #[must_use]
    pub fn for_service(self, service: &str) -> Self {
        self.set(PAM_SERVICE, service.as_bytes())
    }

    /// A variable of the PAM environment.
    #[must_use]
    pub fn with_environment(self, name: &str, value: &str) -> Self {
        let assignment = c_string(format!("{name}={value}").as_bytes());
        // SAFETY: the handle is live, the string ends in NUL; libpam copies it.
        assert_eq!(Code(unsafe { pam_putenv(self.handle, assignment.as_ptr()) }), Code::SUCCESS);
        self
    }

    /// `pam_authenticate`.
    pub fn authenticate(&mut self, flags: c_int) -> Code {
        self.call(pam_authenticate, flags)
    }

    /// `pam_acct_mgmt`.
    pub fn acct_mgmt(&mut self, flags: c_int) -> Code {
        self.call(pam_acct_mgmt, flags)
    }

    /// `pam_setcred`.
    pub fn setcred(&mut self, flags: c_int) -> Code {
        self.call(pam_setcred, flags)
    }

    /// `pam_chauthtok`, both passes.
    pub fn chauthtok(&mut self, flags: c_int) -> Code {
        self.call(pam_chauthtok, flags)
    }

    /// `pam_open_session`.
    pub fn open_session(&mut self, flags: c_int) -> Code {
        self.call(pam_open_session, flags)
    }

    /// `pam_close_session`.
    pub fn close_session(&mut self, flags: c_int) -> Code {
        self.call(pam_close_session, flags)
    }

    /// Everything the person was shown or asked so far.
    #[must_use]
    pub fn transcript(&self) -> Vec<Line> {
        self.conversation().transcript.clone()
    }

    /// The questions asked so far.
    #[must_use]
    pub fn prompts(&self) -> Vec<String> {
        self.transcript().into_iter().filter(|line| line.style.is_question()).map(|line| line.text).collect()
    }

    /// PAM_USER as it is now.
    #[must_use]
    pub fn user(&self) -> Option<Vec<u8>> {
        let mut value = ptr::null();
        // SAFETY: the handle is live; a string item is null or ends in NUL.
        let code = Code(unsafe { pam_get_item(self.handle, PAM_USER, &raw mut value) });
        assert_eq!(code, Code::SUCCESS);
        if value.is_null() {
            return None;
        }
        // SAFETY: as above; copied before the handle is used again.
        Some(unsafe { CStr::from_ptr(value.cast()) }.to_bytes().to_vec())
    }

    fn set(self, item: c_int, value: &[u8]) -> Self {
        set_item(self.handle, item, value);
        self
    }

    fn call(&mut self, function: unsafe extern "C" fn(*mut PamHandle, c_int) -> c_int, flags: c_int) -> Code {
        // SAFETY: the handle is live, and nothing of the conversation is borrowed.
        self.last = Code(unsafe { function(self.handle, flags) });
        if let Some(payload) = self.conversation().panic.take() {
            resume_unwind(payload);
        }
        self.last
    }

    #[allow(clippy::mut_from_ref, reason = "the borrow ends before the next PAM call begins")]
    fn conversation(&self) -> &mut Conversation {
        // SAFETY: lives as long as `self`; the callback runs only inside `call`, which holds no such borrow.
        unsafe { &mut *self.conversation }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        // SAFETY: the handle is live and ended once; the box was made in `start`, and libpam is done with it.
        unsafe {
            pam_end(self.handle, self.last.0);
            drop(Box::from_raw(self.conversation));
        }
    }
}

fn set_item(handle: *mut PamHandle, item: c_int, value: &[u8]) {
    let value = c_string(value);
    // SAFETY: the handle is live, the string ends in NUL; libpam copies it.
    assert_eq!(Code(unsafe { pam_set_item(handle, item, value.as_ptr().cast()) }), Code::SUCCESS);
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("no NUL")
}

extern "C" fn converse(
    count: c_int,
    messages: *mut *const PamMessage,
    responses: *mut *mut PamResponse,
    appdata: *mut c_void,
) -> c_int {
    // SAFETY: libpam hands back what `start` gave it; only this call uses it now.
    let conversation = unsafe { &mut *appdata.cast::<Conversation>() };
    let Ok(count) = usize::try_from(count) else { return Code::CONV_ERR.0 };
    // SAFETY: libpam gives `count` pointers to messages that live as long as this call.
    let messages = unsafe { core::slice::from_raw_parts(messages, count) };
    match catch_unwind(AssertUnwindSafe(|| conversation.answers(messages))) {
        Ok(Ok(array)) => {
            // SAFETY: libpam gives a place for one pointer.
            unsafe { *responses = array };
            Code::SUCCESS.0
        }
        Ok(Err(code)) => code.0,
        Err(payload) => {
            conversation.panic = Some(payload);
            Code::CONV_ERR.0
        }
    }
}

impl Conversation {
    fn answers(&mut self, messages: &[*const PamMessage]) -> Result<*mut PamResponse, Code> {
        if let Some(name) = self.rename.take() {
            set_item(self.handle, PAM_USER, &name);
        }
        let mut typed = Vec::new();
        for message in messages {
            // SAFETY: a live message whose text ends in NUL.
            let (style, text) = unsafe { (Style::of((**message).style), CStr::from_ptr((**message).text)) };
            let text = text.to_string_lossy().into_owned();
            let answer = (self.answer)(style, &text);
            self.transcript.push(Line { style, text });
            match (answer, style.is_question()) {
                (Some(answer), true) => typed.push(Some(answer)),
                (None, true) if self.fault.is_none() => return Err(Code::CONV_ERR),
                _ => typed.push(None),
            }
        }
        match self.fault {
            Some(Fault::Fails(code)) => return Err(code),
            Some(Fault::NoAnswers) => return Ok(ptr::null_mut()),
            Some(Fault::NullAnswer) => typed.iter_mut().for_each(|answer| *answer = None),
            None => {}
        }
        // SAFETY: calloc of whole elements; each is written within the array; the receiver frees all of it.
        unsafe {
            let array = libc::calloc(typed.len().max(1), size_of::<PamResponse>()).cast::<PamResponse>();
            assert!(!array.is_null(), "no memory for the answers");
            for (number, answer) in typed.iter_mut().enumerate() {
                (*array.add(number)).text =
                    answer.as_mut().map_or(ptr::null_mut(), |answer| handed_over(answer));
            }
            Ok(array)
        }
    }
}

/// A C copy of `answer`, which is wiped.
fn handed_over(answer: &mut [u8]) -> *mut c_char {
    // SAFETY: the copy has room for the bytes and a NUL; the wiped range is the slice's own.
    unsafe {
        let copy = libc::malloc(answer.len() + 1).cast::<u8>();
        assert!(!copy.is_null(), "no memory for an answer");
        ptr::copy_nonoverlapping(answer.as_ptr(), copy, answer.len());
        *copy.add(answer.len()) = 0;
        libc::explicit_bzero(answer.as_mut_ptr().cast(), answer.len());
        copy.cast()
    }
}

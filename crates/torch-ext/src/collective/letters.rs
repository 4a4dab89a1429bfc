//! How the survivors of a failed exchange find out who is missing.
//!
//! Every rank keeps a listening socket, its letter box, into which it looks while it waits for the others. The kernel
//! answers for it as long as the process lives: a letter is delivered, and kept, even while the rank computes; a refused
//! connection says that the process has ended, one without an answer that its machine is gone. No thread, no heartbeat,
//! and nothing that would end with rank 0.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::error::{Loss, Ranks};

/// How long a machine may take to answer at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest letter that is read, bytes.
const LETTER_BYTES: u64 = 1024;

/// What ranks write to each other when something went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// My exchange failed too: I am not the missing one.
    Present,
    /// I found these missing.
    Lost { ranks: Ranks, how: Loss },
    /// I end, for a reason of my own.
    Stopped { said: String },
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Letter::Present => write!(f, "present"),
            Letter::Lost { ranks, how } => {
                let ranks: Vec<String> = ranks.0.iter().map(usize::to_string).collect();
                let how = match how {
                    Loss::Gone => "gone".to_owned(),
                    Loss::Unreachable => "unreachable".to_owned(),
                    Loss::Silent { secs } => format!("silent:{secs}"),
                };
                write!(f, "lost {how} {}", ranks.join(","))
            }
            Letter::Stopped { said } => write!(f, "stopped {said}"),
        }
    }
}

impl Letter {
    /// `None` for what no rank writes: anybody can connect to a letter box.
    fn parse(text: &str) -> Option<Self> {
        if text == "present" {
            return Some(Letter::Present);
        }
        if let Some(said) = text.strip_prefix("stopped ") {
            return Some(Letter::Stopped { said: said.to_owned() });
        }
        let (how, ranks) = text.strip_prefix("lost ")?.split_once(' ')?;
        let how = match how {
            "gone" => Loss::Gone,
            "unreachable" => Loss::Unreachable,
            _ => Loss::Silent { secs: how.strip_prefix("silent:")?.parse().ok()? },
        };
        let ranks = ranks.split(',').map(|rank| rank.parse().ok()).collect::<Option<Vec<usize>>>()?;
        Some(Letter::Lost { ranks: Ranks(ranks), how })
    }
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The process lives; whether it will read the letter is another matter.
    Delivered,
    /// The process has ended.
    Refused,
    /// The machine does not answer.
    NoAnswer,
}

/// This rank's letter box and the addresses of all.
#[derive(Debug)]
pub(super) struct LetterBox {
    rank: usize,
    listener: TcpListener,
    addresses: Vec<SocketAddr>,
    /// Letters that were fetched and not looked at yet.
    arrived: RefCell<Vec<(usize, Letter)>>,
}

impl LetterBox {
    /// Listens on a free port of an address by which the other ranks reach this one.
    pub(super) fn listen(own: IpAddr) -> io::Result<TcpListener> {
        let listener = TcpListener::bind((own, 0))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// * `addresses` - of the letter boxes of all ranks
    pub(super) fn new(rank: usize, listener: TcpListener, addresses: Vec<SocketAddr>) -> Self {
        LetterBox { rank, listener, addresses, arrived: RefCell::default() }
    }

    /// All ranks but this one.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.rank;
        (0..self.addresses.len()).filter(move |rank| *rank != own)
    }

    pub(super) fn send(&self, to: usize, letter: &Letter) -> Delivery {
        match TcpStream::connect_timeout(&self.addresses[to], ANSWER_TIMEOUT) {
            Ok(mut stream) => {
                let text = format!("{} {letter}", self.rank);
                // Who resets the connection now was there to accept it.
                stream.write_all(&text.as_bytes()[..text.len().min(LETTER_BYTES as usize)]).ok();
                Delivery::Delivered
            }
            Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => Delivery::Refused,
            Err(_) => Delivery::NoAnswer,
        }
    }

    /// The same letter to all others.
    pub(super) fn send_all(&self, letter: &Letter) {
        for other in self.others() {
            self.send(other, letter);
        }
    }

    /// Whether letters lie here.
    pub(super) fn has_letters(&self) -> bool {
        let arrived = std::iter::from_fn(|| self.listener.accept().ok());
        self.arrived.borrow_mut().extend(arrived.filter_map(|(stream, _)| self.read_one(stream)));
        !self.arrived.borrow().is_empty()
    }

    /// Every letter that has come since the last call, with its sender, oldest first.
    pub(super) fn take(&self) -> Vec<(usize, Letter)> {
        self.has_letters();
        self.arrived.take()
    }

    fn read_one(&self, stream: TcpStream) -> Option<(usize, Letter)> {
        // A stranger who connects and says nothing shall not hold us up.
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(100))).ok()?;
        let mut text = Vec::new();
        stream.take(LETTER_BYTES).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text);
        let (from, letter) = text.split_once(' ')?;
        let from = from.parse().ok().filter(|from| *from < self.addresses.len())?;
        Some((from, Letter::parse(letter)?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn pair() -> (LetterBox, LetterBox) {
        let listeners = [0, 1].map(|_| LetterBox::listen([127, 0, 0, 1].into()).unwrap());
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let [a, b] = listeners;
        (LetterBox::new(0, a, addresses.clone()), LetterBox::new(1, b, addresses))
    }

    #[test]
    fn letters_wait_for_their_reader_and_outlive_their_sender() {
        let (a, b) = pair();
        let letters = [
            Letter::Present,
            Letter::Lost { ranks: Ranks(vec![2, 5]), how: Loss::Gone },
            Letter::Lost { ranks: Ranks(vec![1]), how: Loss::Silent { secs: 7 } },
            Letter::Stopped { said: "no space left on device".into() },
        ];
        for letter in &letters {
            assert_eq!(a.send(1, letter), Delivery::Delivered);
        }
        drop(a);
        assert_eq!(b.take(), letters.map(|letter| (0, letter)));
        assert_eq!(b.take(), []);
        // A process that another test is just starting holds a copy of the socket until it becomes its program.
        let since = Instant::now();
        while b.send(0, &Letter::Present) != Delivery::Refused {
            assert!(since.elapsed() < Duration::from_secs(20), "a letter box without its owner takes letters");
        }
    }

    #[test]
    fn what_a_stranger_writes_is_passed_over() {
        let (a, b) = pair();
        let address = b.listener.local_addr().unwrap();
        for text in ["", "GET / HTTP/1.1\r\n\r\n", "7 present", "0 lost silent:x 1", "0 lost gone one"] {
            TcpStream::connect(address).unwrap().write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(a.send(1, &Letter::Present), Delivery::Delivered);
        assert_eq!(b.take(), [(0, Letter::Present)]);
    }
}

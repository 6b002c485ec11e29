//! An HTTP service whose socket operations go through io_uring: one connection at a time, one answer for everything.
//!
//! Prints `listening ADDR` and serves until its standard input ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, types};

fn main() -> anyhow::Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening {}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let mut ring = IoUring::new(8)?;
    for stream in listener.incoming() {
        let _ = serve(&mut ring, &stream?);
    }
    Ok(())
}

fn serve(ring: &mut IoUring, stream: &TcpStream) -> anyhow::Result<()> {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
    let fd = types::Fd(stream.as_raw_fd());
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        let length = u32::try_from(buffer.len())?;
        let received = submit(ring, &opcode::Recv::new(fd, buffer.as_mut_ptr(), length).build())?;
        if received == 0 {
            return Ok(());
        }
        submit(ring, &opcode::Send::new(fd, ANSWER.as_ptr(), u32::try_from(ANSWER.len())?).build())?;
    }
}

/// Submits one operation and waits for its result.
fn submit(ring: &mut IoUring, entry: &io_uring::squeue::Entry) -> anyhow::Result<usize> {
    // SAFETY: the buffers outlive this function, which returns when the operation is complete.
    unsafe { ring.submission().push(entry)? };
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().map_or(0, |entry| entry.result());
    Ok(usize::try_from(result).map_err(|_| std::io::Error::from_raw_os_error(-result))?)
}

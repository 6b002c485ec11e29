//! The `auditor` command.
fn main() {
    env_logger::init();
    let k = auditor::source::kernel::Kernel::attach(&auditor::source::kernel::Options{ring_bytes: 8<<20, hooks: match std::env::args().nth(1).as_deref() {Some("syscall")=>Some(auditor::source::kernel::Hooks::Syscall),_=>None}, ..log_level: std::env::var("L").ok().and_then(|v| v.parse().ok()).unwrap_or(0), ..Default::default()});
    let mut k = match k { Ok(k) => k, Err(auditor::source::kernel::AttachError::Refused{detail,..}) => { println!("{}", &detail[detail.len().saturating_sub(6000)..]); return }, Err(e) => { println!("{e}"); return } };
    println!("attached {:?}", k.hooks());
    let t = std::time::Instant::now();
    while t.elapsed().as_secs() < 5 {
        while let Some(r) = k.next() {
            println!("{:.300}", format!("{:?}",auditor::record::Record::from_wire(&r)));
        }
        k.flush_log(); std::thread::sleep(std::time::Duration::from_millis(50));
    }
    println!("{:?} {:?}", k.counters(), k.blind_spots(0));
}

//! A client's stream in two hands: hyper reads and writes it, and whoever drives hyper asks whether
//! the client is still there.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guard::Guarded;

/// A client's stream in two hands: hyper reads and writes it, and whoever drives hyper watches
/// whether the client is still there.
#[derive(Debug)]
pub(super) struct WatchedStream<I>(Rc<RefCell<Guarded<I>>>);

impl<I> Clone for WatchedStream<I> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<I> From<Guarded<I>> for WatchedStream<I> {
    fn from(guarded: Guarded<I>) -> Self {
        Self(Rc::new(RefCell::new(guarded)))
    }
}

impl<I: AsyncRead + Unpin> WatchedStream<I> {
    /// Ready when the client has left in the middle of a call. To be asked before hyper is driven,
    /// so that nothing is decided for a client that is gone, and again behind it, so that its
    /// leaving wakes the task.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().poll_gone(cx)
    }

    /// hyper is about to be driven, and has not asked for bytes yet.
    pub(super) fn begin(&self) {
        self.0.borrow_mut().set_listening(false);
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WatchedStream<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut guarded = self.0.borrow_mut();
        let read = Pin::new(&mut *guarded).poll_read(cx, buf);
        guarded.set_listening(read.is_pending());
        read
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WatchedStream<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_shutdown(cx)
    }
}

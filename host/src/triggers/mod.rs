//! What starts functions besides requests: schedules.
//!
//! Nothing of it is stored: what is due follows from the functions that are served, whatever put them there, and is worked out anew when
//! they change and when the host starts. A run is a call like any other, made in the name of the app.

pub mod scheduler;
mod timetable;

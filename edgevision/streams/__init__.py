"""Many cameras, one model: frames are taken as they come, served fairly, and every one of them is accounted for."""
